// @openclaw/gateway-client, the published library: a device pairs, a turn streams, tokens rotate and are
// revoked, and a revoked device's socket closes.
import { pathToFileURL } from "node:url";
import path from "node:path";
import { packages, sleep } from "./kit/scenario.mjs";
import { connect, newDevice, rawOfPem, signText } from "./kit/raw.mjs";
import { command } from "./kit/commands.mjs";
import { checkTraffic, publishedSchema } from "./kit/protocol.mjs";

export default async function (scenario) {
    const modules = packages("v4");
    const library = await import(pathToFileURL(path.join(modules, "@openclaw/gateway-client/dist/index.mjs")));
    const gateway = await scenario.gateway();
    const published = publishedSchema(modules);

    const device = newDevice();
    const paired = await pairByApproval(scenario, library, gateway, device);
    const first = await open(scenario, library, gateway, { device, tokens: paired.tokens });
    scenario.ok(first.hello.protocol === 4, "the library speaks protocol 4", first.hello);
    scenario.ok(first.hello.auth?.role === "operator", "hello names the role", first.hello.auth);
    if (!gateway.oracle) await turnStreams(scenario, first);
    await tokensRotate(scenario, library, gateway, device, first);
    reportSchema(scenario, published, [...paired.frames, ...first.frames]);
}

// One library client whose every event is kept; resolves when hello has come.
function open(scenario, library, gateway, { device, tokens = new Map(), token, url = gateway.url, scopes = ["operator.admin"], onError }) {
    const seen = { events: [], frames: [], gaps: [], closes: [], hello: null, tokens };
    return new Promise((done, fail) => {
        const client = new library.GatewayClient({
            url, token, scopes, role: "operator", mode: "ui", clientName: "openclaw-tui", clientVersion: "2026.9.1", platform: "linux",
            deviceIdentity: device,
            minProtocol: 4, maxProtocol: 4,
            hostDeps: {
                signDevicePayload: signText,
                publicKeyRawBase64UrlFromPem: rawOfPem,
                loadDeviceAuthToken: ({ role }) => tokens.get(role) ?? null,
                storeDeviceAuthToken: ({ role, token: value, scopes: granted }) => tokens.set(role, { token: value, scopes: granted }),
                clearDeviceAuthToken: ({ role }) => tokens.delete(role),
            },
            onHelloOk: (hello) => {
                seen.hello = hello;
                seen.frames.push({ kind: "reply", name: "connect", payload: hello });
                done(Object.assign(seen, { client }));
            },
            onEvent: (frame) => {
                seen.events.push(frame);
                seen.frames.push({ kind: "event", name: frame.event, payload: frame.payload });
            },
            onGap: (gap) => seen.gaps.push(gap),
            onClose: (code, reason) => seen.closes.push({ code, reason }),
            onConnectError: (error) => {
                if (onError) onError(error, client, done);
                else fail(error);
            },
        });
        scenario.atEnd(() => client.stopAndWait({ timeoutMs: 2000 }).catch(() => {}));
        client.start();
    });
}

// Through the tap the peer is not local, so the device has to be approved; then it comes in by itself.
async function pairByApproval(scenario, library, gateway, device) {
    const tap = await scenario.tap(gateway);
    const admin = await connect(gateway.url, { token: gateway.token, scopes: ["operator.admin", "operator.pairing"] });
    scenario.atEnd(() => admin.close());
    scenario.ok(admin.hello, "an administrator connects with the shared token", admin.error);
    const tokens = new Map();
    let asked = null;
    const waiting = await open(scenario, library, { ...gateway, url: tap.url }, {
        device, tokens, token: gateway.token,
        onError: (error, client, done) => {
            asked ??= error;
            client.stop();
            done({ refused: asked });
        },
    });
    if (!waiting.refused) {
        scenario.say("paired silently (the gateway counts the relay as local)");
        scenario.ok(gateway.oracle, "a relayed device must be approved first");
    } else {
        const requestId = waiting.refused.details?.requestId;
        scenario.ok(/pairing required/.test(waiting.refused.message) && requestId, "the refusal asks for pairing and names the request", waiting.refused.message);
        const event = await scenario.until("device.pair.requested", () => admin.events.find((e) => e.event === "device.pair.requested"), 5000);
        scenario.ok(event.payload.requestId === requestId && event.payload.deviceId === device.deviceId, "the event names the same request", event);
        // The operator approves at the command line, with the published command.
        const home = scenario.home("operator");
        const to = ["--url", gateway.url, "--token", gateway.token, "--json"];
        await command(scenario, "v4", home, ["devices", "list", ...to], { expect: (v) => v?.pending?.some((p) => p.requestId === requestId) });
        await command(scenario, "v4", home, ["devices", "approve", requestId, ...to]);
        const again = await open(scenario, library, { ...gateway, url: tap.url }, { device, tokens, token: gateway.token });
        scenario.ok(again.hello.auth?.deviceToken, "the paired device is given its token", again.hello.auth);
        await again.client.stopAndWait({ timeoutMs: 5000 });
    }
    const listed = await admin.request("device.pair.list");
    scenario.ok(listed.payload?.paired?.some((d) => d.deviceId === device.deviceId), "device.pair.list shows the device", listed);
    scenario.ok(!JSON.stringify(listed).includes(tokens.get("operator")?.token ?? "?"), "a list never holds a token");
    const covered = checkTraffic(scenario, publishedSchema(packages("v4")), tap.frames);
    scenario.say(`relayed frames checked: ${[...covered.replies, ...covered.events].join(" ")}`);
    return { tokens, frames: [] };
}

async function turnStreams(scenario, peer) {
    const message = "nine blue umbrellas and a very long walk home";
    const ask = await peer.client.request("chat.send", { sessionKey: "main", message, idempotencyKey: "peer-1" });
    scenario.ok(ask.runId && ask.status, "chat.send answers at once with a run", ask);
    const ours = () => peer.events.filter((e) => e.event === "chat" && e.payload.runId === ask.runId).map((e) => e.payload);
    const final = await scenario.until("the final event", () => ours().find((p) => p.state === "final"));
    const deltas = ours().filter((p) => p.state === "delta");
    const text = (p) => (p.message?.content ?? []).map((c) => c.text ?? "").join("");
    scenario.ok(deltas.length > 0, "deltas came before the final");
    scenario.ok(deltas.every((d) => typeof d.deltaText === "string"), "each delta carries deltaText", deltas[0]);
    scenario.ok(text(final).includes(message), "the reply holds what was said (the echo model)", final);
    let joined = "";
    for (const delta of deltas) joined = delta.replace ? delta.deltaText : joined + delta.deltaText;
    scenario.ok(text(final).startsWith(joined), "the deltas add up to the reply", { joined, final: text(final) });
    scenario.ok(ours().filter((p) => p.state === "final").length === 1, "a turn ends once");
    scenario.ok(final.sessionKey === "agent:main:main", "the session key is canonical", final.sessionKey);
    const seqs = peer.events.map((e) => e.seq).filter((seq) => seq !== undefined);
    scenario.ok(peer.gaps.length === 0 && seqs.every((seq, at) => at === 0 || seq === seqs[at - 1] + 1), "event numbers have no gap", seqs);
    const history = await peer.client.request("chat.history", { sessionKey: "main", limit: 10 });
    scenario.ok(JSON.stringify(history).includes(message), "chat.history keeps the turn", history);
    const again = await peer.client.request("chat.send", { sessionKey: "main", message, idempotencyKey: "peer-1" });
    await sleep(500);
    scenario.ok(ours().filter((p) => p.state === "final").length === 1, "the same idempotency key does not run again", again);
}

async function tokensRotate(scenario, library, gateway, device, peer) {
    const before = peer.tokens.get("operator")?.token;
    const rotated = await peer.client.request("device.token.rotate", { deviceId: device.deviceId, role: "operator" });
    peer.frames.push({ kind: "reply", name: "device.token.rotate", payload: rotated });
    scenario.ok(rotated.token && rotated.token !== before, "rotating gives the device itself a new token", Object.keys(rotated));
    await scenario.until("the rotated device's socket to close", () => peer.closes.length > 0, 10_000);
    scenario.say(`after rotate: closed ${peer.closes[0].code} ${peer.closes[0].reason}`);
    peer.client.stop();

    const old = await connect(gateway.url, { deviceToken: before, device });
    scenario.ok(old.error, "the old token is refused", old.hello?.auth);
    await old.close();
    const fresh = await connect(gateway.url, { deviceToken: rotated.token, device, id: "openclaw-tui", mode: "ui" });
    scenario.ok(fresh.hello, "the new token is accepted", fresh.error);

    const admin = await connect(gateway.url, { token: gateway.token, scopes: ["operator.admin", "operator.pairing"] });
    const revoked = await admin.request("device.token.revoke", { deviceId: device.deviceId, role: "operator" });
    scenario.ok(revoked.ok, "device.token.revoke answers ok", revoked);
    const closed = await Promise.race([fresh.closed, sleep(10_000)]);
    scenario.ok(closed, "revoking closes the device's live socket");
    if (closed) scenario.say(`after revoke: closed ${closed.code} ${closed.reason}`);
    const refused = await connect(gateway.url, { deviceToken: rotated.token, device, id: "openclaw-tui", mode: "ui" });
    scenario.ok(refused.error, "a revoked token is refused", refused.hello?.auth);
    await Promise.all([refused.close(), admin.close()]);
}

function reportSchema(scenario, published, frames) {
    for (const { kind, name, payload } of frames) {
        const wrong = published[kind](name, payload);
        if (wrong) scenario.ok(wrong.length === 0, `${kind} ${name} fits the published schema`, [wrong, payload]);
    }
}
