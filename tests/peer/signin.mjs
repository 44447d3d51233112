// How a browser gets in (design.md section 5 "Browsers"), with the real one: which pages may open the
// WebSocket at all, who pairs silently with the token, and what a sign-in link does. The pages' part is played
// by a few lines that do what any page of ours does: a WebCrypto key, a signed connect.
import http from "node:http";
import path from "node:path";
import { startBrowser } from "./kit/browser.mjs";
import { Skip, TOP, jsonOf } from "./kit/scenario.mjs";
import { chooseUser, freePort, startSshd } from "./local/rig.mjs";

const ALL = ["operator.admin", "operator.read", "operator.write", "operator.pairing"];

export default async function (scenario) {
    const listed = await site(scenario);
    const gateway = await scenario.gateway({ config: { logging: { level: "debug" }, gateway: { controlUi: { allowedOrigins: [listed.url] } } } });
    const here = `http://127.0.0.1:${gateway.port}`;
    // A name of somebody else's that leads to this host, as DNS rebinding makes it.
    const browser = await startBrowser(scenario, { args: ["--host-resolver-rules=MAP elsewhere.test 127.0.0.1"] });
    const ann = await person(browser, "ann");
    ann.expect(/WebSocket connection to .* failed/); // refusals below

    await origins(scenario, gateway, ann, here, listed);
    await tokenHere(scenario, gateway, ann, here);
    await links(scenario, gateway, browser, here);
    await throughSsh(scenario, gateway, browser).catch((error) => {
        if (!(error instanceof Skip)) throw error;
        scenario.say(`through ssh: not tried, ${error.message}`);
    });
}

// The pages they open are bare answers of the gateway, without an icon.
async function person(browser, name) {
    const made = await browser.person(name);
    made.expect(/favicon\.ico/);
    return made;
}

async function origins(scenario, gateway, ann, here, listed) {
    const stranger = await site(scenario);
    const ws = `ws://127.0.0.1:${gateway.port}/`;
    const rows = [
        ["a page of the gateway itself", `${here}/schema.json`, ws, true],
        ["the same by its other name", `http://localhost:${gateway.port}/schema.json`, `ws://localhost:${gateway.port}/`, true],
        ["one under one name, the socket under another", `http://localhost:${gateway.port}/schema.json`, ws, false],
        ["a page from another port of this host", stranger.url, ws, false],
        ["a name that leads here", `http://elsewhere.test:${gateway.port}/schema.json`, `ws://elsewhere.test:${gateway.port}/`, false],
        ["a sandboxed frame", `${stranger.url}/frame`, ws, false],
        ["a page without an origin", "data:text/html,<title>x</title>", ws, false],
        ["a page from a listed origin", listed.url, ws, true],
    ];
    for (const [what, from, to, wanted] of rows) {
        const page = await ann.open(from);
        const frame = page.frames().at(-1);
        const opened = await frame.evaluate((url) => new Promise((done) => {
            const socket = new WebSocket(url);
            socket.onmessage = (message) => (done(JSON.parse(message.data).event === "connect.challenge"), socket.close());
            socket.onerror = () => done(false);
        }), to);
        scenario.ok(opened === wanted, `${what}: ${wanted ? "let in" : "refused"}`, opened);
        await page.close();
    }
}

async function tokenHere(scenario, gateway, ann, here) {
    const page = await ann.open(`${here}/schema.json`);
    const hello = await connect(page, { token: gateway.token });
    scenario.ok(hello.ok && hello.payload.auth.deviceToken && hello.payload.auth.scopes.includes("operator.admin"),
        "the token typed in a browser on this host pairs it silently", hello);
    const back = await connect(page, { deviceToken: hello.payload?.auth.deviceToken });
    scenario.ok(back.ok, "the same browser comes back by its device token", back);
    const wrong = await connect(await ann.open(`${here}/schema.json`), { token: "not the token" });
    scenario.ok(wrong.error?.details?.code === "AUTH_TOKEN_MISMATCH", "a wrong token is told", wrong);
}

async function links(scenario, gateway, browser, here) {
    const culvert = (...args) => command(scenario, gateway, args);
    const made = jsonOf((await culvert("webchat", "--json")).out);
    scenario.ok(made?.url === `${here}/#code=${made?.code}`, "culvert webchat prints a link", made);
    const bob = await person(browser, "bob"), eve = await person(browser, "eve");
    const hello = await connect(await bob.open(`${here}/schema.json`), { bootstrapToken: made.code });
    scenario.ok(hello.ok && hello.payload.auth.deviceToken, "its code pairs a browser", hello);
    const second = await connect(await eve.open(`${here}/schema.json`), { bootstrapToken: made.code });
    scenario.ok(second.error?.details?.code === "AUTH_BOOTSTRAP_TOKEN_INVALID", "a second browser cannot use it", second);
    const ida = await person(browser, "ida");
    const open = await ida.open(`${here}/`);
    await open.getByRole("button", { name: "Sign in" }).waitFor();
    const { url } = jsonOf((await culvert("webchat", "--json")).out);
    await open.evaluate((link) => location.assign(link), url);
    await open.getByRole("navigation", { name: "Pages" }).waitFor();
    scenario.ok(!open.url().includes("code"), "a link pasted over the open page signs in too", open.url());
    const listed = jsonOf((await culvert("devices", "list", "--json")).out);
    scenario.ok(listed?.paired?.filter((device) => device.clientMode === "webchat").length === 3, "three browsers are paired", listed);
}

// The port forwarded by ssh: to the gateway a road that others may share.
async function throughSsh(scenario, gateway, browser) {
    const user = chooseUser(scenario, process.getuid() === 0 ? "root" : "user");
    const sshd = await startSshd(scenario, user);
    const port = await freePort();
    await sshd.forward("ssh -L", ["-L", `127.0.0.1:${port}:127.0.0.1:${gateway.port}`], port);
    const kim = await person(browser, "kim");
    const page = await kim.open(`http://127.0.0.1:${port}/schema.json`);
    const asked = await connect(page, { token: gateway.token });
    const waiting = asked.error?.details;
    scenario.ok(waiting?.code === "PAIRING_REQUIRED" && waiting.requestId, "through ssh -L the token asks for an approval", asked);
    const approved = await command(scenario, gateway, ["devices", "approve", waiting?.requestId ?? "none"]);
    scenario.ok(approved.status === 0, "an operator approves it", approved);
    const again = await connect(page, { token: gateway.token });
    scenario.ok(again.ok && again.payload.auth.scopes.includes("operator.admin"), "… and it is in", again);

    const lee = await person(browser, "lee");
    const { code } = jsonOf((await command(scenario, gateway, ["webchat", "--json"])).out);
    const hello = await connect(await lee.open(`http://127.0.0.1:${port}/schema.json`), { bootstrapToken: code });
    scenario.ok(hello.ok && hello.payload.auth.deviceToken, "through ssh -L a link needs no approval", hello);
}

function command(scenario, gateway, args) {
    const program = process.env.CULVERT_BIN ?? path.join(TOP, "build/asan/culvert");
    const env = { ...scenario.environment(gateway.state), CULVERT_STATE_DIR: gateway.state, LSAN_OPTIONS: process.env.LSAN_OPTIONS ?? "" };
    return scenario.run(program, [...args, "--token-file", path.join(gateway.state, "token.txt")], { env });
}

// A site that is not the gateway's. /frame holds a sandboxed frame, whose origin is null.
async function site(scenario) {
    const server = http.createServer((request, response) => {
        response.setHeader("Content-Type", "text/html");
        response.end(`<!doctype html><title>site</title>${request.url === "/frame" ? '<iframe sandbox="allow-scripts" srcdoc="<p>frame</p>"></iframe>' : ""}`);
    });
    await new Promise((done) => server.listen(0, "127.0.0.1", done));
    scenario.atEnd(() => (server.closeAllConnections(), new Promise((done) => server.close(done))));
    return { url: `http://127.0.0.1:${server.address().port}` };
}

// In the page: the key of this page's lifetime, a signed connect, the answer to it.
function connect(page, auth) {
    return page.evaluate(async ({ auth, scopes }) => {
        const bytes = new TextEncoder();
        const base64url = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
        globalThis.key ??= await crypto.subtle.generateKey("Ed25519", false, ["sign", "verify"]);
        const raw = await crypto.subtle.exportKey("raw", globalThis.key.publicKey);
        const id = [...new Uint8Array(await crypto.subtle.digest("SHA-256", raw))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
        const socket = new WebSocket(`ws://${location.host}/`);
        const next = () => new Promise((done, failed) => {
            socket.onmessage = (message) => done(JSON.parse(message.data));
            socket.onclose = (event) => failed(new Error(`closed ${event.code} ${event.reason}`));
        });
        const { payload: { nonce, ts } } = await next();
        const told = auth.token ?? auth.deviceToken ?? auth.bootstrapToken ?? "";
        const signed = ["v3", id, "webchat-ui", "webchat", "operator", scopes.join(","), ts, told, nonce, "web", ""].join("|");
        const signature = base64url(await crypto.subtle.sign("Ed25519", globalThis.key.privateKey, bytes.encode(signed)));
        const params = {
            minProtocol: 4, maxProtocol: 4, role: "operator", scopes, auth,
            client: { id: "webchat-ui", version: "1", platform: "web", mode: "webchat" },
            device: { id, publicKey: base64url(raw), signature, signedAt: ts, nonce },
        };
        socket.send(JSON.stringify({ type: "req", id: "1", method: "connect", params }));
        const answer = await next();
        socket.onclose = null;
        socket.close();
        return answer;
    }, { auth, scopes: ALL });
}
