// wss with a certificate the gateway made itself: the published library and command trust the fingerprint that
// `culvert status` prints, and nothing else.
import { pathToFileURL } from "node:url";
import fs from "node:fs";
import path from "node:path";
import { Skip, jsonOf, packages } from "./kit/scenario.mjs";
import { newDevice, rawOfPem, signText } from "./kit/raw.mjs";

export default async function (scenario) {
    if (process.env.CULVERT_PEER_ORACLE) throw new Skip("about our gateway's own certificate");
    const modules = packages("v4");
    const library = await import(pathToFileURL(path.join(modules, "@openclaw/gateway-client/dist/index.mjs")));
    const gateway = await scenario.gateway({ config: { gateway: { tls: { enabled: true } } } });
    const url = `wss://127.0.0.1:${gateway.port}`;

    const fingerprint = await fingerprintOf(scenario, gateway);
    const open = await connect(scenario, library, { url, token: gateway.token, tlsFingerprint: fingerprint });
    scenario.ok(open.hello?.protocol === 4, "the library connects with the pin", open.error?.message);
    const pasted = fingerprint.slice("sha256:".length).toUpperCase().match(/../g).join(":");
    const again = await connect(scenario, library, { url, token: gateway.token, tlsFingerprint: pasted });
    scenario.ok(again.hello?.protocol === 4, "and with the pin as openssl prints it", again.error?.message);
    for (const tlsFingerprint of [undefined, "ab".repeat(32)]) {
        const refused = await connect(scenario, library, { url, token: gateway.token, tlsFingerprint });
        scenario.ok(!refused.hello, `the library does not come in with pin ${tlsFingerprint ?? "none"}`);
    }
    await commandComesIn(scenario, gateway, url, fingerprint);
}

async function fingerprintOf(scenario, gateway) {
    const env = { ...scenario.environment(scenario.dir), CULVERT_STATE_DIR: gateway.state };
    const seen = await scenario.run(process.env.CULVERT_BIN, ["status", "--json"], { env });
    const sha256 = jsonOf(seen.out)?.tls?.sha256;
    scenario.ok(/^[0-9a-f]{64}$/.test(sha256 ?? ""), "culvert status names the fingerprint", seen);
    return `sha256:${sha256}`;
}

function connect(scenario, library, { url, token, tlsFingerprint }) {
    return new Promise((done) => {
        const client = new library.GatewayClient({
            url, token, tlsFingerprint, role: "operator", scopes: ["operator.read"], mode: "ui", clientName: "openclaw-tui",
            clientVersion: "2026.9.1", platform: "linux", deviceIdentity: newDevice(), minProtocol: 4, maxProtocol: 4,
            hostDeps: { signDevicePayload: signText, publicKeyRawBase64UrlFromPem: rawOfPem, loadDeviceAuthToken: () => null,
                storeDeviceAuthToken: () => {}, clearDeviceAuthToken: () => {} },
            onHelloOk: (hello) => end({ hello }),
            onConnectError: (error) => end({ error }),
        });
        function end(seen) {
            client.stopAndWait({ timeoutMs: 2000 }).catch(() => {});
            done(seen);
        }
        scenario.atEnd(() => client.stopAndWait({ timeoutMs: 2000 }).catch(() => {}));
        client.start();
    });
}

async function commandComesIn(scenario, gateway, url, fingerprint) {
    for (const [name, tlsFingerprint, comes] of [["pinned", fingerprint, true], ["mispinned", `sha256:${"cd".repeat(32)}`, false]]) {
        const home = scenario.home(name);
        const config = { gateway: { mode: "remote", remote: { url, token: gateway.token, tlsFingerprint } } };
        fs.writeFileSync(path.join(home, ".openclaw", "openclaw.json"), JSON.stringify(config), { mode: 0o600 });
        const seen = await scenario.cli("v4", home, ["health", "--json"]);
        scenario.ok((seen.status === 0) === comes, `openclaw health ${name}: ${comes ? "comes in" : "stays out"}`, `${seen.status}\n${seen.out}\n${seen.err}`);
    }
}
