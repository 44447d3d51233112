// WebChat for everyone: each page in light and dark by axe-core, screenshots at three sizes (kept under
// artifacts/webchat_look), no sideways scrolling from 320 px to 4K, and a conversation led by the keyboard alone.
import { inaccessible } from "./kit/browser.mjs";
import { connect, newDevice } from "./kit/raw.mjs";
import { answers, enter, live, look, say, sessionKey, signInLink, startSite, waitText } from "./webchat/site.mjs";

const SIZES = [["phone", 360, 740], ["laptop", 1280, 800], ["desk", 2560, 1440]];
const THEMES = ["light", "dark"];
const ANSWER = `## Two kinds of culvert

A **culvert** carries water *under* a road. Which one to take depends on the span:

| Kind | Span | Cost |
|---|---:|---|
| Pipe | 3 m | low |
| Box | 8 m | high |

1. Measure the catchment.
2. Take the flow of the worst year.
3. Leave room for fish.

\`\`\`c
static int flow(const struct culvert *c, double slope)
{
    return c->width > 0 ? manning(c, slope) : -ERR_INVALID;
}
\`\`\`

> Water always finds a way. See [the handbook](https://example.org/culverts) and ![a drawing](https://example.org/d.png).
`;

export default async function (scenario) {
    const site = await startSite(scenario);
    const { page, person } = await enter(site, "look");
    const key = await conversation(site, page);
    for (const theme of THEMES) {
        await page.emulateMedia({ colorScheme: theme });
        await sizes(page, person, `conversation-${theme}`);
    }
    const stopAsking = await requests(site);
    const pages = await page.locator(".rail-items a").evaluateAll((links) => links.map((link) => link.dataset.page));
    scenario.say(`pages: ${pages.join(" ")}`);
    scenario.ok(["chat", "agents", "devices", "presence", "health", "log"].every((id) => pages.includes(id)), "the pages of what exists are there", pages);
    await signInPages(scenario, site);
    for (const theme of THEMES) {
        await page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
        for (const id of pages) await onePage(scenario, page, person, id, key, theme);
        await dialogs(scenario, page, key, theme);
    }
    await widths(scenario, page, pages, key);
    await motionAndTheme(scenario, page);
    await stopAsking();
    await keyboard(scenario, site);
}

async function conversation(site, page) {
    const key = await sessionKey(page);
    const asked = site.model.next("Which culvert");
    await say(page, "Which culvert shall I take for a small stream?");
    await asked.request;
    asked.think("Span and flow decide.").text("Let me look at what we said before.").call("sessions_list", { limit: 3 }).end();
    site.model.next("Which culvert").text(ANSWER).end();
    await waitText(answers(page), "Two kinds of culvert");
    await site.call("sessions.patch", { key, label: "Culverts for a stream" });
    for (const [label, text] of [["Release notes", "Write the notes for 0.1"], ["Why is the disk full?", "df says 98 %"]]) {
        const { key: other } = await site.call("sessions.create", { label });
        await site.call("chat.send", { sessionKey: other, message: text, idempotencyKey: label });
    }
    return key;
}

// Somebody waits for an approval, and a device to be let in.
async function requests(site) {
    const peer = await connect(site.gateway.url, { token: site.gateway.token, scopes: ["operator.admin", "operator.approvals"] });
    peer.request("exec.approval.request", { command: "apt-get install --yes libzmq3-dev", cwd: "/srv/culvert", host: "gateway", agentId: "main", sessionKey: "main", timeoutMs: 280_000 }, 290_000).catch(() => {});
    await connect(site.link.url.replace("http", "ws"), { token: site.gateway.token, device: newDevice(), scopes: ["operator.read"] });
    return () => peer.close();
}

async function signInPages(scenario, site) {
    for (const theme of THEMES) {
        const person = await site.browser.person(`look-gate-${theme}`, { colorScheme: theme, viewport: { width: 360, height: 740 } });
        const page = await person.open(`${site.link.url}/`);
        await page.getByLabel("Gateway token").fill(site.gateway.token);
        await person.shot(page, `sign-in-${theme}`);
        scenario.ok((await inaccessible(page)).length === 0, `signing in can be used by everyone (${theme})`, await inaccessible(page));
        await page.getByRole("button", { name: "Sign in" }).click();
        await page.getByText("culvert devices approve").waitFor();
        await person.shot(page, `pairing-${theme}`);
        scenario.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "… and fits a phone");
        scenario.ok((await inaccessible(page)).length === 0, `waiting for approval can be used by everyone (${theme})`, await inaccessible(page));
        await person.leave();
    }
    // Plain http on an address of the network: no secure context, no keys, but a way out.
    const person = await site.browser.person("look-insecure");
    await person.context.addInitScript(() => Object.defineProperty(globalThis, "isSecureContext", { value: false }));
    const page = await person.open(site.url);
    await page.getByText("culvert tunnel up").waitFor();
    await person.shot(page, "insecure");
    scenario.ok((await page.locator("body").innerText()).includes("ssh -N -L"), "without a secure context the page says how to get one");
    scenario.ok((await inaccessible(page)).length === 0, "… in a way everyone can read", await inaccessible(page));
    await person.leave();
}

async function onePage(scenario, page, person, id, key, theme) {
    await show(page, id, key);
    await sizes(page, person, `${id}-${theme}`);
    const found = await inaccessible(page);
    scenario.ok(found.length === 0, `${id} can be used by everyone (${theme})`, found);
}

async function sizes(page, person, name) {
    for (const [size, width, height] of SIZES) {
        await page.setViewportSize({ width, height });
        await settled(page);
        await person.shot(page, `${name}-${size}`);
    }
    await page.setViewportSize({ width: 1280, height: 800 });
}

async function show(page, id, key) {
    if (id === "chat") await look(page, key);
    else {
        await page.evaluate((to) => (location.hash = `#/${to}`), id);
        await page.locator(`.rail-items a[data-page="${id}"][aria-current]`).waitFor({ state: "attached" });
        await page.locator(".page-body > *, .lines-log li").first().waitFor();
        await page.getByText("Reading …").waitFor({ state: "detached" });
    }
}

const settled = (page) => page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done()))));

async function dialogs(scenario, page, key, theme) {
    await look(page, key);
    await page.getByRole("button", { name: /Keyboard shortcuts/ }).click();
    await page.getByRole("dialog").waitFor();
    scenario.ok((await inaccessible(page, { within: "dialog" })).length === 0, `the shortcuts can be read by everyone (${theme})`, await inaccessible(page));
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Session actions" }).click();
    await page.getByRole("menu").waitFor();
    scenario.ok((await inaccessible(page, { within: "[role=menu]" })).length === 0, `a menu can be used by everyone (${theme})`, await inaccessible(page));
    await page.keyboard.press("Escape");
    await page.locator("[role=menu]").waitFor({ state: "detached" });
    scenario.ok(await page.evaluate(() => document.activeElement?.getAttribute("aria-label")) === "Session actions", "the focus goes back to where it was");
}

async function widths(scenario, page, pages, key) {
    for (const width of [320, 600, 961, 1920, 3840]) {
        await page.setViewportSize({ width, height: width < 700 ? 640 : 1080 });
        for (const id of pages) {
            await show(page, id, key);
            const over = await page.evaluate(() => [document.documentElement, ...document.querySelectorAll(".stage, .stage main, .page-scroll, .scroll, .side")]
                .filter((element) => element.scrollWidth > element.clientWidth + 1).map((element) => `${element.className || element.tagName} ${element.scrollWidth} > ${element.clientWidth}`));
            scenario.ok(over.length === 0, `${id} fits ${width} px`, over);
        }
    }
    await page.setViewportSize({ width: 320, height: 640 });
    await look(page, key);
    await page.getByRole("button", { name: "Sessions and pages" }).click();
    await page.getByRole("navigation", { name: "Sessions" }).getByRole("link", { name: /Release notes/ }).click();
    await page.getByRole("heading", { level: 1, name: "Release notes" }).waitFor();
    await page.locator(".shell:not([data-drawer])").waitFor();
    scenario.ok(true, "on a phone the list is a drawer, which closes when something was chosen");
    await page.setViewportSize({ width: 1280, height: 800 });
    const marks = await page.evaluate(() => ["header", "nav", "main"].map((tag) => document.querySelectorAll(tag).length > 0));
    scenario.ok(marks.every(Boolean), "landmarks are there", marks);
}

async function motionAndTheme(scenario, page) {
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    await page.emulateMedia({ colorScheme: "light" });
    const light = await ground();
    await page.getByRole("button", { name: "Theme: as the system" }).click();
    await page.getByRole("button", { name: "Theme: light" }).click();
    scenario.ok(await ground() !== light, "dark may be chosen whatever the system has");
    await page.reload();
    await page.locator(".composer").waitFor();
    scenario.ok(await ground() !== light, "… and stays chosen");
    await page.getByRole("button", { name: "Theme: dark" }).click();
    await page.emulateMedia({ reducedMotion: "reduce" });
    const slow = await page.evaluate(() => getComputedStyle(document.querySelector(".button")).transitionDuration);
    scenario.ok(slow.split(",").every((one) => parseFloat(one) < 0.001), "who wants no motion gets none", slow);
}

// No pointer from here on.
async function keyboard(scenario, site) {
    const person = await site.browser.person("look-keys");
    const page = await person.open(await signInLink(scenario, site.gateway.state, site.url));
    await page.locator(".composer").waitFor();
    const key = (name) => page.keyboard.press(name);
    const focused = () => page.evaluate(() => document.activeElement?.getAttribute("aria-label") ?? document.activeElement?.textContent?.trim());
    await key("Alt+KeyN");
    await page.waitForFunction(() => location.hash.includes("dashboard"));
    await page.locator(".log .empty h2").waitFor();
    scenario.ok(await focused() === "Message", "a new chat begins in the message box", await focused());
    const asked = site.model.next("by keys");
    await page.keyboard.type("Answer me by keys");
    await key("Enter");
    await asked.request;
    asked.text("As you ");
    await waitText(live(page), "As you");
    await key("Escape");
    await page.locator(".ended").waitFor();
    scenario.ok(true, "Escape stops the answer");
    await key("ArrowUp");
    scenario.ok(await page.locator(".write").inputValue() === "Answer me by keys", "the last message can be taken up again", await page.locator(".write").inputValue());
    await key("Control+KeyA");
    await key("Backspace");
    await key("Control+KeyK");
    scenario.ok(await focused() === "Search sessions", "sessions are searched", await focused());
    await page.keyboard.type("stream");
    await scenario.until("the search", async () => (await page.locator(".session").count()) === 1);
    await key("Tab");
    await key("Enter");
    await page.getByRole("heading", { level: 1, name: "Culverts for a stream" }).waitFor();
    await page.evaluate(() => document.body.focus());
    await key("Tab");
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    scenario.ok(outline !== "none", "what has the focus shows it", outline);
    await page.locator("#main").evaluate((main) => main.focus());
    await key("Shift+Slash");
    await page.getByRole("dialog", { name: "Keyboard shortcuts" }).waitFor();
    await key("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    scenario.ok(true, "? lists the shortcuts");
    const said = await page.locator("[role=status][aria-live=polite]").count();
    scenario.ok(said > 0, "a polite region tells of answers");
}
