// The published command and TUI, and WebChat in Chromium, on a laptop whose port 18789 is a tunnel to the gateway. Run there by
// clients.py, which plays the person at the gateway: who asks is approved there. CULVERT_NET_URL and
// CULVERT_TOKEN say where and how.
import fs from "node:fs";
import path from "node:path";
import { startBrowser } from "../peer/kit/browser.mjs";
import { jsonOf, packages } from "../peer/kit/scenario.mjs";
import tui, { open } from "../peer/tui.mjs";

const remote = { url: process.env.CULVERT_NET_URL, port: 18789, token: process.env.CULVERT_TOKEN, oracle: false };

export default async function (scenario) {
    await command(scenario);
    await terminal(scenario);
    await webchat(scenario);
}

// Whom the person at the gateway has approved so far, by client id.
const approved = (client) => fs.readFileSync(process.env.CULVERT_NET_APPROVED, "utf8").split("\n").filter((id) => id === client).length;

async function command(scenario) {
    const home = scenario.home("cli", remote);
    const call = (method) => scenario.cli("v4", home, ["gateway", "call", method, "--json"]);
    const health = await call("health");
    scenario.ok(health.status === 0 && jsonOf(health.out)?.ok === true, "openclaw gateway call health through the tunnel", health);
    scenario.say(`openclaw gateway call health: ${(health.ms / 1000).toFixed(1)} s`);
    const more = await call("sessions.list");
    scenario.ok(more.status !== 0 && /missing scope|pairing/i.test(more.out + more.err), "for more than that the shared token alone is not enough", more);
}

// A TUI that is refused says so and stays; a person starts it again once approved.
async function terminal(scenario) {
    const screen = open(scenario, scenario.home("tui", remote), [process.execPath, path.join(packages("v4"), "openclaw/openclaw.mjs"), "tui"]);
    await scenario.until("the TUI's approval", () => approved("openclaw-tui") > 0, 40_000);
    scenario.ok(!screen.text().includes("gateway connected"), "the TUI has to ask as well", screen.text());
    screen.type("\x03\x03");
    await screen.ended;
    scenario.gateway = async () => remote;
    await tui(scenario);
    scenario.say("the TUI talks through the tunnel");
}

async function webchat(scenario) {
    const browser = await startBrowser(scenario);
    const person = await browser.person("far");
    const page = await person.open(remote.url.replace("ws:", "http:"));
    person.expect(/WebSocket connection to .* failed/); // while it waits for the approval
    await page.getByLabel("Gateway token").fill(remote.token);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByText("culvert devices approve").waitFor();
    scenario.ok(true, "the page says that it has to be approved, and how");
    await person.shot(page, "waits");
    await page.locator(".composer").waitFor({ timeout: 60_000 }); // clients.py approves; the page goes on by itself
    const words = "nine paper boats";
    await page.locator(".write").fill(words);
    await page.locator(".write").press("Enter");
    await page.locator(".message.assistant:not(.live)").filter({ hasText: words }).first().waitFor({ timeout: 30_000 });
    scenario.ok(true, "an answer is on the page");
    await person.shot(page, "answered");
}
