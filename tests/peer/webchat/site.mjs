// A gateway with WebChat, a model whose steps the test decides, Chromium, and what a person does on the page.
import fs from "node:fs";
import path from "node:path";
import { TOP, jsonOf, killGroup } from "../kit/scenario.mjs";
import { startBrowser, startLink } from "../kit/browser.mjs";
import { startModel } from "./model.mjs";

const PROGRAM = process.env.CULVERT_BIN ?? path.join(TOP, "build/asan/culvert");

export async function startSite(scenario, { args } = {}) {
    const model = await startModel(scenario);
    const config = { ...model.config };
    config.agents.defaults.maxConcurrent = 32;
    config.tools = { exec: { mode: "ask" } };
    const gateway = await scenario.gateway({ config });
    const link = await startLink(scenario, gateway.port);
    const site = {
        model, gateway, link, scenario,
        url: `http://127.0.0.1:${gateway.port}`,
        browser: await startBrowser(scenario, { args }),
        call: (method, params) => call(scenario, gateway.state, method, params),
    };
    // What comes through the link has another port in its address, and is nobody local.
    const { hash } = await site.call("config.get");
    await site.call("config.patch", { raw: JSON.stringify({ gateway: { controlUi: { allowedOrigins: [link.url] } } }), ...(hash && { baseHash: hash }) });
    return site;
}

const environment = (scenario, state) => ({ ...scenario.environment(state), LSAN_OPTIONS: process.env.LSAN_OPTIONS ?? "", ASAN_OPTIONS: process.env.ASAN_OPTIONS ?? "" });

export async function call(scenario, state, method, params = {}) {
    const ran = await scenario.run(PROGRAM, ["call", method, JSON.stringify(params), "--url", `unix:${state}/gateway.sock`], { env: environment(scenario, state) });
    if (ran.status !== 0) throw new Error(`${method}: ${ran.err}`);
    return jsonOf(ran.out);
}

// A fresh sign-in link, for the page at `url`.
export async function signInLink(scenario, state, url) {
    const ran = await scenario.run(PROGRAM, ["webchat", "--json", "--url", `unix:${state}/gateway.sock`], { env: environment(scenario, state) });
    return `${url}/#code=${jsonOf(ran.out).code}`;
}

// Somebody who is signed in and looks at a chat of their own (or at `key`).
export async function enter(site, name, { key, url = site.url, ...view } = {}) {
    const person = await site.browser.person(name, view);
    const page = await person.open(await signInLink(site.scenario, site.gateway.state, url));
    await page.locator(".composer").waitFor();
    if (key) await look(page, key);
    else await newChat(page);
    return { person, page };
}

export async function look(page, key) {
    await page.evaluate((to) => (location.hash = `#/chat/${encodeURIComponent(to)}`), key);
    await page.locator(".log .empty h2, .log .message").first().waitFor();
}

export async function newChat(page) {
    const before = await keyOf(page);
    await page.keyboard.press("Alt+KeyN");
    await page.waitForFunction((was) => location.hash.startsWith("#/chat/") && location.hash !== was, before);
    await page.locator(".log .empty h2").waitFor();
}

export const keyOf = (page) => page.evaluate(() => location.hash);
export const sessionKey = async (page) => decodeURIComponent((await keyOf(page)).replace("#/chat/", ""));

export async function say(page, text) {
    await page.locator(".write").fill(text);
    await page.locator(".write").press("Enter");
}

export const live = (page) => page.locator(".message.live .markdown");
export const answers = (page) => page.locator(".message.assistant:not(.live)");
export const questions = (page) => page.locator(".message.user");

export async function waitText(locator, text, timeout = 20_000) {
    await locator.filter({ hasText: text }).first().waitFor({ timeout });
}

// A gateway that may be killed and started again in the same place.
export async function startMortal(scenario, model) {
    const state = path.join(scenario.dir, "mortal");
    fs.mkdirSync(state, { mode: 0o700 });
    fs.writeFileSync(path.join(state, "token.txt"), "mortal-secret\n", { mode: 0o600 });
    fs.writeFileSync(path.join(state, "culvert.json"), JSON.stringify(model.config), { mode: 0o600 });
    let child = null;
    const mortal = { state, port: 0, scenario };

    mortal.start = async () => {
        const lock = path.join(state, "gateway.lock");
        child = scenario.spawn(PROGRAM, ["gateway", "--port", String(mortal.port), "--state-dir", state, "--auth", "token", "--token-file", path.join(state, "token.txt")],
            { env: environment(scenario, state), cwd: scenario.dir });
        let log = "";
        for (const stream of [child.stdout, child.stderr]) stream.on("data", (bytes) => (log = (log + bytes).slice(-20_000)));
        mortal.log = () => log;
        mortal.port = await scenario.until("the port", () => {
            if (child.exitCode !== null) throw new Error(`the gateway ended: ${log}`);
            const told = fs.existsSync(lock) && jsonOf(fs.readFileSync(lock, "utf8"));
            return told && told.pid === child.pid && told.port;
        });
        mortal.url = `http://127.0.0.1:${mortal.port}`;
    };
    mortal.kill = async () => {
        const gone = new Promise((done) => child.once("exit", done));
        killGroup(child, "SIGKILL");
        await gone;
    };
    mortal.stop = async () => {
        const gone = new Promise((done) => child.once("exit", done));
        killGroup(child, "SIGTERM");
        await gone;
        scenario.ok(child.exitCode === 0, "the gateway that was started again leaves with status 0", mortal.log().slice(-1500));
    };
    await mortal.start();
    return mortal;
}

// A PNG of one colour.
export function picture() {
    return Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAoAAAAKCAYAAACNMs+9AAAAFUlEQVR42mNkSPn/n4EIwDiqkL4KAZHsE/2rU2QHAAAAAElFTkSuQmCC", "base64");
}
