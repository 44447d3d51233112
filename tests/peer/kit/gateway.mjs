// The gateway under test, in a scratch state folder, on a port the kernel chose. CULVERT_PEER_ORACLE=v4
// (or v3) runs the published gateway instead: that is how these scenarios are known to test the right thing.
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import { TOP, Skip, jsonOf, killGroup, packages } from "./scenario.mjs";

// `user` {uid, gid}: whose process it is, when not ours.
export async function startGateway(scenario, { token = "peer-secret-token", config, args = [], env = {}, user, program } = {}) {
    const state = path.join(scenario.dir, `gateway-${Date.now()}`);
    fs.mkdirSync(state, { mode: 0o700 });
    const start = process.env.CULVERT_PEER_ORACLE ? startPublished : startCulvert;
    const gateway = await start(scenario, { state, token, config, args, env, user, program });
    gateway.token = token;
    gateway.state = state;
    gateway.url = `ws://127.0.0.1:${gateway.port}`;
    gateway.oracle = Boolean(process.env.CULVERT_PEER_ORACLE);
    return gateway;
}

async function startCulvert(scenario, { state, token, config, args, env, user, program = process.env.CULVERT_BIN ?? path.join(TOP, "build/asan/culvert") }) {
    if (!fs.existsSync(program)) throw new Skip(`${program} is not built`);
    const tokenFile = path.join(state, "token.txt");
    fs.writeFileSync(tokenFile, `${token}\n`, { mode: 0o600 });
    if (config) fs.writeFileSync(path.join(state, "culvert.json"), JSON.stringify(config), { mode: 0o600 });
    if (user) for (const file of [state, ...fs.readdirSync(state).map((name) => path.join(state, name))]) fs.chownSync(file, user.uid, user.gid);
    const all = ["gateway", "--port", "0", "--state-dir", state, "--auth", "token", "--token-file", tokenFile, ...args];
    const child = launch(scenario, program, all, { ...scenario.environment(state), ...env }, user);
    const lock = path.join(state, "gateway.lock"); // {"pid":…,"port":…} once it listens
    const port = await scenario.until("the gateway's port", () => {
        if (child.exitCode !== null || child.signalCode) throw new Error(`the gateway ended (${child.exitCode ?? child.signalCode}):\n${child.log()}`);
        const told = fs.existsSync(lock) && jsonOf(fs.readFileSync(lock, "utf8"));
        return told && told.pid === child.pid && told.port;
    });
    await scenario.until("the gateway to accept", () => accepts(port));
    return { port, child, log: child.log, stop: () => stop(scenario, child) };
}

async function startPublished(scenario, { state, token, env }) {
    const port = await freePort();
    const program = path.join(packages(process.env.CULVERT_PEER_ORACLE), "openclaw/openclaw.mjs");
    fs.mkdirSync(path.join(state, ".openclaw"));
    const args = [program, "gateway", "run", "--allow-unconfigured", "--port", String(port), "--auth", "token", "--token", token];
    const child = launch(scenario, process.execPath, args, { ...scenario.environment(state), ...env });
    await scenario.until("the published gateway", async () => {
        if (child.exitCode !== null) throw new Error(`the published gateway ended:\n${child.log()}`);
        return fetch(`http://127.0.0.1:${port}/readyz`).then((r) => r.ok, () => false);
    }, 90_000);
    return { port, child, log: child.log, stop: () => stop(scenario, child) };
}

function launch(scenario, program, args, env, user) {
    const child = scenario.spawn(program, args, { env, cwd: scenario.dir, ...(user && { uid: user.uid, gid: user.gid }) });
    let log = "";
    const keep = (bytes) => (log = (log + bytes).slice(-60_000));
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    child.log = () => log;
    // A gateway must leave by itself, with status 0, when asked: that is also where leaks are told.
    scenario.atEnd(() => stop(scenario, child));
    return child;
}

async function stop(scenario, child) {
    if (child.stopped) return;
    child.stopped = true;
    const gone = new Promise((done) => (child.exitCode !== null || child.signalCode ? done() : child.once("exit", done)));
    killGroup(child, "SIGTERM");
    const late = setTimeout(() => killGroup(child, "SIGKILL"), 20_000);
    await gone;
    clearTimeout(late);
    if (process.env.CULVERT_PEER_ORACLE) return;
    scenario.ok(child.exitCode === 0, "the gateway leaves with status 0 on SIGTERM", `${child.exitCode ?? child.signalCode}\n${story(child.log())}`);
}

// What a sanitizer or a failed require() said, else the last lines.
function story(log) {
    const at = log.search(/==\d+==ERROR|runtime error:|require|AddressSanitizer/);
    return at < 0 ? log.slice(-1200) : log.slice(at, at + 2500);
}

function accepts(port) {
    return new Promise((done) => {
        const socket = net.connect(port, "127.0.0.1");
        socket.once("connect", () => (socket.destroy(), done(true)));
        socket.once("error", () => done(false));
    });
}

function freePort() {
    return new Promise((done) => {
        const server = net.createServer().listen(0, "127.0.0.1", () => {
            const { port } = server.address();
            server.close(() => done(port));
        });
    });
}
