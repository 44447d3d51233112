// Chromium for a scenario. A person is a browser of their own (storage, keys, window size); what their pages
// log as an error, throw, or do against the Content-Security-Policy fails the scenario unless it was expected.
// Everything is closed at the end; screenshots go to the build's artifacts, of every open page when it failed.
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { Skip, TOP, packages } from "./scenario.mjs";

// Waits are for slow machines: with the sanitizers and other tests beside it, a page takes seconds.
export const PATIENCE_MS = 30_000;

const PROGRAMS = [process.env.CULVERT_CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser"];
const ARTIFACTS = process.env.CULVERT_ARTIFACTS ?? path.join(TOP, "build/asan/artifacts");

export async function startBrowser(scenario, { args = [] } = {}) {
    const program = PROGRAMS.find((file) => file && fs.existsSync(file));
    if (!program) throw new Skip("Chromium is not installed; deploy/test installs it");
    const { chromium } = await import(pathToFileURL(path.join(packages("browser"), "playwright-core/index.mjs")));
    const home = path.join(scenario.dir, "chromium");
    fs.mkdirSync(home, { recursive: true });
    const options = {
        executablePath: program,
        headless: true,
        chromiumSandbox: false, // it needs what root and containers do not have, and the pages are our own
        env: { ...scenario.environment(home), XDG_CONFIG_HOME: home, XDG_CACHE_HOME: home },
        // Small containers have no /dev/shm worth the name; crashes are ours to see, not to be sent elsewhere.
        args: ["--disable-dev-shm-usage", "--disable-gpu", "--disable-breakpad", ...args],
        timeout: PATIENCE_MS,
    };
    const browser = new Browser(scenario, chromium, options, home);
    scenario.atEnd(() => browser.close());
    return browser;
}

class Browser {
    #shared = null;
    #people = [];

    constructor(scenario, chromium, options, home) {
        Object.assign(this, { scenario, chromium, options, home });
        this.shots = path.join(ARTIFACTS, scenario.name);
        fs.rmSync(this.shots, { recursive: true, force: true });
        fs.mkdirSync(this.shots, { recursive: true });
    }

    // `view` is what Playwright calls context options: viewport, colorScheme, hasTouch, reducedMotion, …
    // `kept`: a process and a profile folder of its own, so that leave() and a second person() of the same
    // name are a browser that was closed and opened again. The others share one process.
    async person(name, { kept = false, ...view } = {}) {
        const wanted = { viewport: { width: 1280, height: 800 }, locale: "en-GB", ...view };
        let context;
        if (kept) {
            context = await this.chromium.launchPersistentContext(path.join(this.home, name), { ...this.options, ...wanted });
        } else {
            this.#shared ??= this.chromium.launch(this.options);
            context = await (await this.#shared).newContext(wanted);
        }
        const person = new Person(this, name, context);
        this.#people.push(person);
        return person;
    }

    async close() {
        for (const person of this.#people) await person.leave();
        await this.#shared?.then((shared) => shared.close(), () => {});
    }
}

class Person {
    problems = [];
    #expected = [];
    #left = false;

    constructor(browser, name, context) {
        Object.assign(this, { browser, scenario: browser.scenario, name, context });
        context.setDefaultTimeout(PATIENCE_MS);
        context.on("console", (message) => {
            if (message.type() !== "error") return;
            const { url, lineNumber } = message.location();
            this.#problem(`console: ${message.text()} (${url}:${lineNumber})`);
        });
        context.on("weberror", (error) => this.#problem(`thrown: ${error.error().stack ?? error.error()}`));
    }

    // What shall happen is no failure: `pattern` is met by a problem that comes from now on.
    expect(pattern) {
        this.#expected.push(pattern);
    }

    #problem(text) {
        if (!this.#expected.some((pattern) => pattern.test(text))) this.problems.push(text);
    }

    async open(url) {
        const page = await this.context.newPage();
        await page.goto(url);
        return page;
    }

    // artifacts/<scenario>/<name>.png
    async shot(page, name, options = {}) {
        await page.screenshot({ path: path.join(this.browser.shots, `${name}.png`), animations: "disabled", ...options });
    }

    // What navigator.onLine tells and what new requests meet. An open WebSocket may live on: startLink() cuts it.
    offline(on) {
        return this.context.setOffline(on);
    }

    // A worse line for one page: {latencyMs, bytesPerSecond}.
    async slow(page, { latencyMs = 0, bytesPerSecond = -1 }) {
        const session = await this.context.newCDPSession(page);
        await session.send("Network.enable");
        await session.send("Network.emulateNetworkConditions", {
            offline: false, latency: latencyMs, downloadThroughput: bytesPerSecond, uploadThroughput: bytesPerSecond,
        });
    }

    async leave() {
        if (this.#left) return;
        this.#left = true;
        const { scenario } = this;
        scenario.ok(this.problems.length === 0, `the pages of ${this.name} log no error`, this.problems);
        if (scenario.failures.length) await this.#keepPages();
        await this.context.close();
    }

    async #keepPages() {
        for (const [at, page] of this.context.pages().entries()) {
            const name = `failed-${this.name}-${at + 1}`;
            await this.shot(page, name, { timeout: 5_000 }).then(
                () => console.log(`the page at the end: ${path.join(this.browser.shots, `${name}.png`)} (${page.url().replace(/#.*/, "#…")})`),
                (error) => console.log(`no screenshot of ${page.url().replace(/#.*/, "#…")}: ${error.message}`));
        }
    }
}

// What axe-core finds wrong, as short lines: serious and critical, the two that keep people out.
export async function inaccessible(page, { within, impacts = ["serious", "critical"] } = {}) {
    const source = fs.readFileSync(path.join(packages("browser"), "axe-core/axe.min.js"), "utf8");
    const present = "typeof globalThis.axe === 'object'";
    // Through the debugger, not as a script tag: the page's policy forbids those, as it should.
    if (!await page.evaluate(present)) await page.evaluate(`${source};0`);
    const result = await page.evaluate((root) => globalThis.axe.run(root ?? document, { resultTypes: ["violations"] }), within ?? null);
    return result.violations.filter((found) => impacts.includes(found.impact)).map((found) => {
        const where = found.nodes.slice(0, 5).map((node) => `${node.target.join(" ")}: ${node.failureSummary?.split("\n")[1]?.trim() ?? ""}`);
        return `${found.impact} ${found.id} (${found.nodes.length}): ${where.join("; ")}`;
    });
}

// A line to a port that can break. freeze(): bytes wait, nobody is told. cut(): connections are reset and
// new ones too, until mend(). To the gateway its peers are not local: it holds a listening socket.
export async function startLink(scenario, port) {
    const pairs = new Set();
    let state = "whole";
    const server = net.createServer((near) => {
        if (state === "cut") return near.resetAndDestroy();
        const far = net.connect(port, "127.0.0.1");
        const pair = { near, far };
        pairs.add(pair);
        for (const [from, to] of [[near, far], [far, near]]) {
            from.setNoDelay(true);
            from.pipe(to);
            from.on("error", () => to.destroy());
            from.on("close", () => (pairs.delete(pair), to.destroy()));
        }
        if (state === "frozen") hold(pair);
    });
    const hold = ({ near, far }) => (near.unpipe(far), far.unpipe(near), near.pause(), far.pause());
    await new Promise((done) => server.listen(0, "127.0.0.1", done));
    const link = {
        port: server.address().port,
        url: `http://127.0.0.1:${server.address().port}`,
        freeze() {
            state = "frozen";
            for (const pair of pairs) hold(pair);
        },
        cut() {
            state = "cut";
            for (const { near, far } of pairs) (near.resetAndDestroy(), far.resetAndDestroy());
        },
        mend() {
            if (state === "frozen") for (const { near, far } of pairs) (near.pipe(far), far.pipe(near));
            state = "whole";
        },
        async stop() {
            for (const { near, far } of pairs) (near.destroy(), far.destroy());
            await new Promise((done) => server.close(done));
        },
    };
    scenario.atEnd(() => link.stop());
    return link;
}
