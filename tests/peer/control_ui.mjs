// The published Control UI, served by the gateway from gateway.controlUi.root, in Chromium: it signs in, talks,
// shows the same after a reload and in a second tab, and its pages open with what the gateway knows. Every frame
// the gateway sends it is held to the published schema.
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import { startBrowser } from "./kit/browser.mjs";
import { checkTraffic, publishedSchema } from "./kit/protocol.mjs";
import { connect, newDevice } from "./kit/raw.mjs";
import { Skip, TOP, jsonOf, packages } from "./kit/scenario.mjs";

// Asked for, and honestly not there: the UI asks these whatever features.methods says.
const ABSENT = new Set([
    "sessions.observer.visibility", // nobody observes runs on the side
    "themes.list", "skills.search", "plugins.catalog.browse", "tools.github.status", // its makers' own catalogues and services
]);
// Path, what stands there of this gateway, what must have come from it.
const PAGES = [
    ["/agents", /Assistant.*echo\/echo/, "agents.list"],
    ["/sessions", /agent:main:main/, "sessions.list"],
    ["/activity", /lanterns/, "sessions.list"],
    ["/dashboards", /Dashboards: 0|No dashboards/i, "sessions.list"],
    ["/config", /Settings/, "config.get"],
    ["/settings/advanced", /logging|gateway/i, "config.schema"],
    ["/logs", /culvert \d+\.\d+\.\d+ started/, "logs.tail"],
    ["/nodes", /openclaw-control-ui/, "device.pair.list"],
    ["/nodes", /exec approvals/i, "exec.approvals.get"],
    ["/channels", /No channels connected/, "channels.status"],
    ["/cron", /New automation/, "cron.list"],
    ["/tasks", /No background tasks/, "tasks.list"],
    ["/debug", /main/, "diagnostics.lanes"],
    ["/systems", /./, "environments.list"],
    ["/model-providers", /echo/i, "models.list"],
    ["/usage", /Reporting range/i, "sessions.usage"],
];

export default async function (scenario) {
    const root = path.join(packages("v4"), "openclaw/dist/control-ui");
    if (!fs.existsSync(path.join(root, "index.html"))) throw new Skip("the openclaw package has no Control UI");
    const gateway = await scenario.gateway({ config: { gateway: { controlUi: { root } } } });
    const here = `http://127.0.0.1:${gateway.port}`;
    const browser = await startBrowser(scenario);
    const ann = await browser.person("ann");
    const frames = recordFrames(ann);

    const page = await ann.open(`${here}/#token=${gateway.token}`);
    await composer(page).waitFor();
    scenario.ok(!page.url().includes(gateway.token), "the token does not stay in the address", page.url());
    await ann.shot(page, "signed-in");
    const server = answered(frames, "connect").payload.server;
    scenario.ok(server.controlUiBuildSource === "configured", "the gateway says that the page is not its own build", server);
    await talks(scenario, ann, page, frames);
    await secondTab(scenario, ann, here, page);
    await pagesOpen(scenario, ann, page, here, frames);
    await cannotBeLedElsewhere(scenario, ann, here);
    await signsInByLink(scenario, gateway, browser, here);
    const covered = checkTraffic(scenario, publishedSchema(packages("v4")), frames);
    scenario.say(`${covered.replies.size} kinds of replies and ${covered.events.size} of events held to the schema; it has none for ${[...covered.without].join(", ")}`);
    noFailures(scenario, frames);
    await belowABasePath(scenario, browser, root);
    await reloadsAfterAnUpdate(scenario);
}

const composer = (page) => page.getByPlaceholder(/^Message /);

// Every frame of every page of a person, as kit/tap.mjs keeps them.
function recordFrames(person) {
    const frames = [];
    let connections = 0;
    person.context.on("page", (page) => page.on("websocket", (socket) => {
        const conn = ++connections;
        const keep = (from) => ({ payload }) => frames.push({ conn, from, frame: jsonOf(String(payload)) });
        socket.on("framesent", keep("client"));
        socket.on("framereceived", keep("gateway"));
    }));
    return frames;
}

async function talks(scenario, ann, page, frames) {
    const words = "seven small lanterns";
    await composer(page).fill(words);
    await composer(page).press("Enter");
    await page.getByText(words).nth(1).waitFor(); // what was sent, and the answer that repeats it
    await page.getByText(/echo model/).first().waitFor();
    const states = frames.filter(({ frame }) => frame?.event === "chat").map(({ frame }) => frame.payload.state);
    scenario.ok(states.includes("delta") && states.includes("final"), "the reply streams in", states);
    await ann.shot(page, "reply");
    await page.reload();
    await page.getByText(words).nth(1).waitFor();
    scenario.ok(await page.getByText(words).count() >= 2, "after a reload the conversation is there");
}

async function secondTab(scenario, ann, here, page) {
    const tab = await ann.open(`${here}/`);
    await tab.getByText("seven small lanterns").nth(1).waitFor();
    const words = "from the second tab";
    await composer(tab).fill(words);
    await composer(tab).press("Enter");
    await page.getByText(words).nth(1).waitFor();
    scenario.ok(await tab.getByText(words).count() >= 2, "what one tab says the other shows");
    await tab.close();
}

async function pagesOpen(scenario, ann, page, here, frames) {
    ann.expect(/\/avatar\/main/); // Activity asks for a picture nobody told it of
    for (const [where, wanted, method] of PAGES) {
        const before = frames.length;
        await page.goto(`${here}${where}`);
        const text = async () => (await page.locator("body").innerText()).replace(/\s+/g, " ");
        const shown = await scenario.until(`${where} to show ${wanted}`, async () => wanted.test(await text()), 15_000).catch(() => false);
        scenario.ok(shown, `${where} opens`, shown ? "" : (await text()).slice(0, 600));
        const asked = await scenario.until(`${method} on ${where}`, () => answered(frames.slice(before), method), 10_000).catch(() => null);
        scenario.ok(asked?.ok, `${where} asks ${method} and is answered`, asked);
        if (["/sessions", "/logs", "/nodes", "/debug"].includes(where)) await ann.shot(page, `page${where.replaceAll("/", "-")}`);
    }
}

function answered(frames, method) {
    const ids = new Set(frames.filter(({ from, frame }) => from === "client" && frame?.method === method).map(({ conn, frame }) => `${conn} ${frame.id}`));
    return frames.find(({ conn, from, frame }) => from === "gateway" && frame?.type === "res" && ids.has(`${conn} ${frame.id}`))?.frame;
}

function noFailures(scenario, frames) {
    const advertised = new Set(answered(frames, "connect").payload.features.methods);
    const methods = new Map(frames.filter(({ from }) => from === "client").map(({ conn, frame }) => [`${conn} ${frame?.id}`, frame?.method]));
    const failed = frames.filter(({ from, frame }) => from === "gateway" && frame?.type === "res" && !frame.ok)
        .map(({ conn, frame }) => [methods.get(`${conn} ${frame.id}`), frame.error.message]).filter(([method]) => !ABSENT.has(method) || advertised.has(method));
    scenario.ok(failed.length === 0, "nothing the UI asks fails, but for what is known to be absent", failed);
}

// CVE-2026-25253: an address that names another gateway. The policy lets the page reach none but its own.
async function cannotBeLedElsewhere(scenario, ann, here) {
    let reached = 0;
    const elsewhere = net.createServer((socket) => (reached++, socket.destroy()));
    await new Promise((done) => elsewhere.listen(0, "127.0.0.1", done));
    scenario.atEnd(() => new Promise((done) => elsewhere.close(done)));
    ann.expect(/Content Security Policy|content-security-policy/i);
    const page = await ann.open(`${here}/?gatewayUrl=${encodeURIComponent(`ws://127.0.0.1:${elsewhere.address().port}`)}`);
    await page.waitForTimeout(3_000);
    scenario.ok(reached === 0, "?gatewayUrl= leads to no other gateway", reached);
    await page.close();
}

async function signsInByLink(scenario, gateway, browser, here) {
    const program = process.env.CULVERT_BIN ?? path.join(TOP, "build/asan/culvert");
    const env = { ...scenario.environment(gateway.state), CULVERT_STATE_DIR: gateway.state, LSAN_OPTIONS: process.env.LSAN_OPTIONS ?? "" };
    const made = jsonOf((await scenario.run(program, ["webchat", "--json"], { env })).out);
    scenario.ok(made?.url?.startsWith(`${here}/webchat/#code=`), "with a Control UI at / the link leads to WebChat beside it", made);
    const bob = await browser.person("bob");
    const page = await bob.open(`${here}/#bootstrapToken=${made.code}`);
    await composer(page).waitFor();
    scenario.ok(!page.url().includes(made.code), "the Control UI signs in by a code too", page.url().replace(made.code, "…"));
    await page.reload();
    await composer(page).waitFor();
    await page.getByText("seven small lanterns").nth(1).waitFor();
    scenario.ok(true, "… and is remembered");
}

async function belowABasePath(scenario, browser, root) {
    const gateway = await scenario.gateway({ config: { gateway: { controlUi: { root, basePath: "/desk" } } } });
    const kim = await browser.person("kim");
    const page = await kim.open(`http://127.0.0.1:${gateway.port}/desk/sessions#token=${gateway.token}`);
    await page.getByText(/No active sessions/).waitFor();
    scenario.ok(true, "below a base path it connects too");
    await kim.leave();
    await gateway.stop();
}

// A folder that is renewed while a page of it is open.
async function reloadsAfterAnUpdate(scenario) {
    const root = path.join(scenario.dir, "ui");
    fs.mkdirSync(root);
    const write = (build) => fs.writeFileSync(path.join(root, "index.html"), `<html data-openclaw-control-ui-build-id="${build}-9"><title>UI</title>`);
    const gateway = await scenario.gateway({ config: { gateway: { controlUi: { root } } } });
    const here = `http://127.0.0.1:${gateway.port}`;
    const device = newDevice();
    const as = (buildId) => connect(gateway.url, { token: gateway.token, device, id: "openclaw-control-ui", mode: "webchat", headers: { origin: here }, buildId });
    const load = () => fetch(`${here}/`).then((r) => r.text());

    write("one");
    await load();
    const current = await as("one");
    // This process is not the browser, so it goes on to an approval: that is past the check.
    scenario.ok(current.error?.details?.code === "PAIRING_REQUIRED", "a page of the folder as it is is let on", current.error);
    write("two");
    await load();
    const old = await as("one");
    const details = old.error?.details;
    scenario.ok(details?.code === "PROTOCOL_MISMATCH" && details.reloadRequired === true && details.gatewayBuildId === "two-9" && old.error.retryable === false,
        "one that is older is told to reload", old.error ?? old.hello);
    scenario.ok((await old.closed).code === 1008, "… and closed");
    const reloaded = await as("two");
    scenario.ok(reloaded.error?.details?.code === "PAIRING_REQUIRED", "reloaded, it is let on", reloaded.error);
    await gateway.stop();
}
