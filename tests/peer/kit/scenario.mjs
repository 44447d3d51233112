// What a scenario has in hand: a gateway of its own, the published clients, checks that keep going.
import { spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { startGateway } from "./gateway.mjs";
import { startTap } from "./tap.mjs";

export const TOP = path.resolve(import.meta.dirname, "../../..");
const NPM = process.env.CULVERT_NPM ?? path.join(TOP, ".cache/npm");

export class Skip extends Error {}

export function packages(version) {
    const folder = path.join(NPM, version);
    if (!fs.existsSync(path.join(folder, "installed"))) {
        throw new Skip(`the published clients are not in .cache/npm/${version}; deploy/test installs them`);
    }
    return path.join(folder, "node_modules");
}

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

export class Scenario {
    checks = 0;
    failures = [];
    #stops = [];

    constructor(name) {
        this.name = name;
        this.started = Date.now();
        this.dir = fs.mkdtempSync(path.join(os.tmpdir(), `culvert-peer-${name}-`));
    }

    say(text) {
        console.log(`[${((Date.now() - this.started) / 1000).toFixed(1)} s] ${text}`);
    }

    ok(condition, what, seen) {
        this.checks++;
        if (condition) return true;
        this.failures.push(seen === undefined ? what : `${what}; seen: ${shorten(seen)}`);
        this.say(`FAILED ${what}`);
        return false;
    }

    atEnd(stop) {
        this.#stops.unshift(stop);
    }

    async close() {
        for (const stop of this.#stops) await Promise.resolve(stop()).catch((error) => console.log(`at end: ${error.message}`));
        if (this.failures.length) console.log(`files kept in ${this.dir}`);
        else fs.rmSync(this.dir, { recursive: true, force: true, maxRetries: 3 });
    }

    async gateway(options = {}) {
        const gateway = await startGateway(this, options);
        this.say(`gateway on port ${gateway.port}`);
        return gateway;
    }

    // A relay that keeps every frame. To the gateway its peers are not local: it holds a listening socket.
    async tap(gateway) {
        const tap = await startTap(gateway.port, packages("v4"));
        this.atEnd(() => tap.stop());
        return tap;
    }

    // A home of its own for one client; `remote` writes the configuration that names the gateway.
    home(name, remote) {
        const home = path.join(this.dir, name);
        const state = path.join(home, ".openclaw");
        fs.mkdirSync(state, { recursive: true, mode: 0o700 });
        if (remote) {
            const config = { gateway: { mode: "remote", remote: { url: remote.url, token: remote.token } } };
            fs.writeFileSync(path.join(state, "openclaw.json"), JSON.stringify(config), { mode: 0o600 });
        }
        return home;
    }

    environment(home, extra = {}) {
        const keep = Object.fromEntries(["LANG", "TMPDIR"].filter((k) => process.env[k]).map((k) => [k, process.env[k]]));
        return {
            ...keep,
            PATH: `${path.dirname(process.execPath)}:${process.env.PATH}`,
            HOME: home,
            OPENCLAW_STATE_DIR: path.join(home, ".openclaw"),
            OPENCLAW_NO_AUTO_UPDATE: "1",
            OLLAMA_HOST: "127.0.0.1:1", // nobody: no gateway under test looks for a real one
            NO_COLOR: "1",
            TERM: "xterm-256color",
            ...extra,
        };
    }

    // The published `openclaw` command of one version, to its end: {status, out, err, ms}.
    cli(version, home, args, { env = {}, limitMs = 60_000 } = {}) {
        const program = path.join(packages(version), "openclaw/openclaw.mjs");
        return this.run(process.execPath, [program, ...args], { env: this.environment(home, env), limitMs, cwd: home });
    }

    run(program, args, { limitMs = 60_000, ...options }) {
        const child = this.spawn(program, args, options);
        const seen = { status: null, out: "", err: "", ms: 0 };
        const started = Date.now();
        child.stdout.on("data", (bytes) => (seen.out += bytes));
        child.stderr.on("data", (bytes) => (seen.err += bytes));
        return new Promise((done) => {
            const limit = setTimeout(() => {
                seen.err += `\n(stopped after ${limitMs} ms)`;
                killGroup(child, "SIGKILL");
            }, limitMs);
            child.on("error", (error) => (seen.err += error.message));
            child.on("close", (status, signal) => {
                clearTimeout(limit);
                done(Object.assign(seen, { status: status ?? signal, ms: Date.now() - started }));
            });
        });
    }

    // A process group of its own, gone when the scenario ends.
    spawn(program, args, options) {
        const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], detached: true, ...options });
        this.atEnd(() => killGroup(child, "SIGKILL"));
        return child;
    }

    // Waits for something to become true; asks again every 50 ms.
    async until(what, test, limitMs = 15_000) {
        const end = Date.now() + limitMs;
        for (;;) {
            const value = await test();
            if (value) return value;
            if (Date.now() > end) throw new Error(`waited ${limitMs} ms for ${what}`);
            await sleep(50);
        }
    }
}

export function killGroup(child, signal) {
    if (!child.pid || child.exitCode !== null && child.signalCode !== null) return;
    try {
        process.kill(-child.pid, signal);
    } catch {
        // already gone
    }
}

export function shorten(value) {
    const text = typeof value === "string" ? value : JSON.stringify(value);
    return text && text.length > 4000 ? `${text.slice(0, 4000)}…` : text;
}

// The JSON a command printed, which may follow lines of other text.
export function jsonOf(text) {
    for (const start of [text.indexOf("{"), text.indexOf("[")].filter((at) => at >= 0).sort((a, b) => a - b)) {
        try {
            return JSON.parse(text.slice(start));
        } catch {
            // not here
        }
    }
    return undefined;
}
