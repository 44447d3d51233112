// WebChat in a real browser (kit/browser.mjs): what a person does there, and what must not go wrong while they do. Each
// part has people and sessions of its own; they run side by side. The model answers when the test says so.
import { startLink } from "./kit/browser.mjs";
import { connect, newDevice } from "./kit/raw.mjs";
import { answers, enter, live, look, picture, questions, say, sessionKey, signInLink, startMortal, startSite, waitText } from "./webchat/site.mjs";
import { hostile } from "./webchat/hostile.mjs";

export default async function (scenario) {
    const site = await startSite(scenario);
    const part = (name, run) => run(scenario, site).then(() => scenario.say(`${name}: through`), (error) => {
        scenario.ok(false, `${name}: ${error.message.split("\n")[0]}`, error.stack);
    });
    const only = process.env.CULVERT_PART;
    const groups = [
        [["what is served", served], ["sign in", signIn], ["files", attachments], ["history", history]],
        [["stream", stream], ["reload", reload], ["two browsers", together], ["queue", queue]],
        [["hostile", (s) => hostile(s, site)], ["offline", offline], ["devices", devices], ["approvals", approvals]],
        [["killed", killed]],
    ];
    await Promise.all(groups.map(async (group) => {
        for (const [name, run] of group) if (!only || only === name) await part(name, run);
    }));
}

// ---- what the server says ----

async function served(scenario, { url }) {
    const page = await fetch(url);
    const policy = page.headers.get("content-security-policy") ?? "";
    for (const rule of ["default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"]) {
        scenario.ok(policy.split("; ").includes(rule), `the policy says ${rule}`, policy);
    }
    scenario.ok(!/unsafe|\*/.test(policy), "… and allows nothing unsafe", policy);
    scenario.ok(page.headers.get("x-content-type-options") === "nosniff" && page.headers.get("referrer-policy") === "no-referrer", "types are not guessed, addresses not told");
    const html = await page.text();
    scenario.ok(!/<script(?![^>]*src=)|\sstyle=|\son\w+=|https?:\/\//.test(html), "no inline script or style, nothing from elsewhere", html);
    const etag = page.headers.get("etag");
    const again = await fetch(url, { headers: { "If-None-Match": etag } });
    scenario.ok(again.status === 304, "what the browser has is not sent again", again.status);
    const packed = await fetch(`${url}/js/main.js`, { headers: { "Accept-Encoding": "gzip" } });
    scenario.ok(packed.headers.get("content-encoding") === "gzip" && (await packed.text()).includes("import"), "files are packed");
    scenario.ok((await fetch(`${url}/js/nowhere.js`)).status === 404 && (await fetch(`${url}/../culvert.json`)).status === 404, "what is not there is 404");
}

// ---- signing in ----

async function signIn(scenario, site) {
    const { browser, gateway, url, link } = site;
    const ann = await browser.person("sign-in ann");
    const page = await ann.open(await signInLink(scenario, gateway.state, url));
    await page.locator(".composer").waitFor();
    scenario.ok(!page.url().includes("code"), "the code leaves the address bar", page.url());
    await page.reload();
    await page.locator(".composer").waitFor();
    scenario.ok(true, "the browser is known when it comes back");
    const kept = await page.evaluate(() => new Promise((done) => {
        const request = indexedDB.open("culvert", 1);
        request.onsuccess = () => {
            const get = request.result.transaction("identity").objectStore("identity").get("device");
            get.onsuccess = async () => {
                const { keys } = get.result;
                const taken = await crypto.subtle.exportKey("pkcs8", keys.privateKey).then(() => true, () => false);
                done({ taken, extractable: keys.privateKey.extractable });
            };
        };
    }));
    scenario.ok(!kept.taken && !kept.extractable, "the key cannot be taken out", kept);

    const bob = await browser.person("sign-in bob");
    const typed = await bob.open(`${url}/?gatewayUrl=ws://127.0.0.1:9/&token=x#gatewayUrl=ws://127.0.0.1:9/`);
    await typed.getByLabel("Gateway token").fill("not the token");
    await typed.getByRole("button", { name: "Sign in" }).click();
    await typed.getByRole("alert").waitFor();
    scenario.ok((await typed.getByRole("alert").innerText()).includes("not this gateway's token"), "a wrong token is told", await typed.getByRole("alert").innerText());
    await typed.getByLabel("Gateway token").fill(gateway.token);
    await typed.getByRole("button", { name: "Sign in" }).click();
    await typed.locator(".composer").waitFor();
    const storage = await typed.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }]));
    scenario.ok(!storage.includes(gateway.token), "the token signs in and is not kept", storage);
    await typed.goto(`${url}/`);
    await typed.locator(".composer").waitFor();
    scenario.ok(true, "… nor needed again");

    const used = await browser.person("sign-in eve");
    const late = await used.open(page.url());
    await late.getByLabel("Gateway token").waitFor();
    await late.goto("about:blank");
    const once = await signInLink(scenario, gateway.state, url);
    await late.goto(once);
    await late.locator(".composer").waitFor();
    const other = await (await browser.person("sign-in kim")).open(once);
    await other.getByRole("alert").waitFor();
    scenario.ok((await other.getByRole("alert").innerText()).includes("culvert webchat"), "a link that was used says how to get another", await other.getByRole("alert").innerText());

    // From elsewhere the token alone is not enough; a signed-in browser lets the new one in, and it goes on by itself.
    const far = await browser.person("sign-in far");
    const waits = await far.open(`${link.url}/`);
    await waits.getByLabel("Gateway token").fill(gateway.token);
    await waits.getByRole("button", { name: "Sign in" }).click();
    await waits.getByText("culvert devices approve").waitFor();
    await page.getByRole("article", { name: "Device" }).getByRole("button", { name: "Approve" }).click();
    await waits.locator(".composer").waitFor();
    scenario.ok(true, "an approved browser goes on by itself");

    await page.getByRole("button", { name: "This browser" }).click();
    await page.getByRole("menuitem", { name: /Sign out/ }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Sign out" }).click();
    await page.getByLabel("Gateway token").waitFor();
    scenario.ok(true, "signing out forgets the key");
}

// ---- an answer as it comes ----

async function stream(scenario, site) {
    const { page, person } = await enter(site, "stream");
    await page.evaluate(() => {
        window.shifted = 0;
        new PerformanceObserver((list) => list.getEntries().forEach((entry) => entry.hadRecentInput || (window.shifted += entry.value))).observe({ type: "layout-shift" });
    });
    let asked = site.model.next("Count for me");
    await say(page, "Count for me");
    await asked.request;
    scenario.ok(await questions(page).count() === 1, "the question stands there once", await questions(page).count());
    let length = 0;
    for (const word of ["one ", "two ", "three "]) {
        asked.text(word);
        await waitText(live(page), word.trim());
        const now = (await live(page).innerText()).length;
        scenario.ok(now > length, "the answer grows", now);
        length = now;
    }
    await page.getByRole("button", { name: "Stop the answer" }).click();
    await page.locator(".ended").waitFor();
    await scenario.until("the model to be left alone", () => asked.closed);
    scenario.ok((await answers(page).innerText()).includes("one two three"), "what was said before the stop stays", await answers(page).innerText());

    asked = site.model.next("Count for me");
    await answers(page).last().getByRole("button", { name: "Ask again" }).click();
    await asked.request;
    asked.text("```js\nlet answer = 42;\n```\n").end();
    await page.locator(".code code").filter({ hasText: "let answer = 42;" }).waitFor();
    await person.context.grantPermissions(["clipboard-read", "clipboard-write"]);
    await page.locator(".code").getByRole("button", { name: "Copy" }).click();
    await page.locator(".code").getByText("Copied").waitFor();
    scenario.ok(await page.evaluate(() => navigator.clipboard.readText()) === "let answer = 42;", "a code block is copied");
    scenario.ok((await page.locator(".code figcaption").innerText()).includes("js"), "… and says its language");

    site.model.next("And more").fail(400, "the model is out of words");
    await say(page, "And more");
    await page.locator(".note.bad").filter({ hasText: "out of words" }).waitFor();
    scenario.ok(true, "a failure is said, with its reason");
    const shifted = await page.evaluate(() => window.shifted);
    scenario.ok(shifted < 0.05, "nothing jumps while answers grow", shifted);
    asked = site.model.next("And more");
    await page.locator(".note.bad").getByRole("button", { name: "Try again" }).click();
    await asked.request;
    asked.think("Let me see.").call("sessions_list", { limit: 1 }).end();
    site.model.next("And more").text("All told.").end();
    await page.locator(".tool[data-status=done]").waitFor();
    await waitText(answers(page), "All told.");
    const tool = page.locator(".tool").last();
    scenario.ok(!(await tool.getByText("Arguments").isVisible()), "a tool call is folded");
    await tool.locator("summary").click();
    scenario.ok((await tool.innerText()).includes('"limit": 1'), "… and shows what it was called with", await tool.innerText());
    scenario.ok(await page.locator(".fold").filter({ hasText: "Thinking" }).count() === 1, "thinking is folded");

    await page.locator(".write").fill("/st");
    await page.getByRole("option").first().waitFor();
    await page.locator(".write").press("Tab");
    scenario.ok((await page.locator(".write").inputValue()).startsWith("/status"), "commands complete", await page.locator(".write").inputValue());
    await page.locator(".write").press("Enter");
    await waitText(answers(page), "Session agent:main:dashboard");
    const order = await page.locator(".message").allTextContents();
    scenario.ok(order.at(-2).includes("/status") && order.at(-1).includes("Session agent:main"), "a command stands before its answer", order.slice(-2));

    await page.getByRole("button", { name: /^Thinking/ }).click();
    await page.getByRole("menuitemradio", { name: /High/i }).first().click();
    await page.getByRole("button", { name: /^Thinking high/ }).waitFor();
    asked = site.model.next("Think hard");
    await say(page, "Think hard");
    scenario.ok((await asked.request).reasoning_effort === "high", "the model thinks as much as was chosen", (await asked.request).reasoning_effort);
    asked.text("Hard.").end();
    await waitText(answers(page), "Hard.");

    await page.getByRole("button", { name: /^Model:/ }).click();
    await page.getByRole("menuitemradio", { name: /Mini/ }).click();
    await page.getByRole("button", { name: "Model: paced/paced-2" }).waitFor();
    asked = site.model.next("Who are you?");
    await say(page, "Who are you?");
    scenario.ok((await asked.request).model === "paced-2", "the model that was chosen answers");
    asked.text("Mini.").end();
    await waitText(answers(page), "Mini.");
}

// ---- the same answer, once, whatever the page goes through ----

async function reload(scenario, site) {
    const { page } = await enter(site, "reload");
    const asked = site.model.next("Tell me a long story");
    await say(page, "Tell me a long story");
    await asked.request;
    asked.text("Once upon a time ");
    await waitText(live(page), "Once upon");
    await page.reload();
    await questions(page).first().waitFor();
    asked.text("there was a culvert.");
    await waitText(live(page), "there was a culvert.");
    scenario.ok((await live(page).innerText()).includes("Once upon a time there was"), "after a reload the whole text goes on", await live(page).innerText());
    asked.end();
    await answers(page).first().waitFor();
    await page.locator(".message.live").waitFor({ state: "detached" });
    scenario.ok(await answers(page).count() === 1 && await questions(page).count() === 1, "one question, one answer", await page.locator(".log").innerText());
    const text = await answers(page).innerText();
    scenario.ok(text.split("Once upon").length === 2, "… told once", text);
}

async function together(scenario, site) {
    const { page: one } = await enter(site, "two one");
    const key = await sessionKey(one);
    const { page: two } = await enter(site, "two two", { key });
    const asked = site.model.next("Do you both hear me?");
    await say(one, "Do you both hear me?");
    await asked.request;
    await waitText(questions(two), "Do you both hear me?");
    asked.text("Both of ");
    await waitText(live(two), "Both of");
    asked.text("you.").end();
    await waitText(answers(one), "Both of you.");
    await waitText(answers(two), "Both of you.");
    await say(two, "And the other way");
    await waitText(questions(one), "And the other way");
    await waitText(answers(one).last(), "Done.");
    for (const page of [one, two]) {
        await scenario.until("two answers", async () => (await answers(page).count()) === 2);
        scenario.ok(await questions(page).count() === 2, "both see the same", await page.locator(".log").innerText());
    }
    await one.getByRole("button", { name: "Session actions" }).click();
    await one.getByRole("menuitem", { name: /Rename/ }).click();
    await one.getByRole("textbox", { name: "Name" }).fill("Shared talk");
    await one.getByRole("button", { name: "Rename" }).last().click();
    await two.getByRole("heading", { level: 1, name: "Shared talk" }).waitFor();
    await two.getByRole("searchbox", { name: "Search sessions" }).fill("shared ta");
    await scenario.until("the search", async () => (await two.locator(".session").count()) === 1);
    scenario.ok((await two.locator(".session").innerText()).includes("Shared talk"), "search finds it by its new name");
    await two.getByRole("searchbox", { name: "Search sessions" }).fill("");
    await one.getByRole("button", { name: "Session actions" }).click();
    await one.getByRole("menuitem", { name: /Start anew/ }).click();
    await one.getByRole("dialog").getByRole("button", { name: "Start anew" }).click();
    await two.locator(".log .empty h2").waitFor();
    scenario.ok(await questions(one).count() === 0, "a reset empties it for both");
    await one.getByRole("button", { name: "Session actions" }).click();
    await one.getByRole("menuitem", { name: /Delete/ }).click();
    await one.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await two.getByRole("heading", { level: 1, name: "Shared talk" }).waitFor({ state: "detached" });
    scenario.ok(true, "a deleted session goes away for both");
}

async function queue(scenario, site) {
    const { page } = await enter(site, "queue");
    const first = site.model.next("First of two");
    await say(page, "First of two");
    await first.request;
    first.text("Answer to the first");
    await waitText(live(page), "Answer to the first");
    await page.locator(".write").fill("a draft");
    const key = await sessionKey(page);
    const before = await page.evaluate(() => location.hash);
    await page.keyboard.press("Alt+KeyN");
    await page.waitForFunction((was) => location.hash !== was, before);
    scenario.ok(await page.locator(".write").inputValue() === "", "another session has no draft");
    await look(page, key);
    scenario.ok(await page.locator(".write").inputValue() === "a draft", "a draft waits in its session", await page.locator(".write").inputValue());
    await say(page, "Second");
    await waitText(questions(page), "Second");
    first.end();
    await scenario.until("both to be answered", async () => (await page.locator(".message.live").count()) === 0 && (await answers(page).count()) >= 2);
    scenario.ok(await questions(page).count() === 2, "a message sent while an answer is written is there once", await page.locator(".log").innerText());
}

// ---- a bad line ----

async function offline(scenario, site) {
    const line = await startLink(scenario, site.gateway.port); // its own: the others need theirs whole
    const { page, person } = await enter(site, "offline", { url: line.url });
    person.expect(/WebSocket|ERR_/);
    let asked = site.model.next("Before the line goes");
    await say(page, "Before the line goes");
    await asked.request;
    asked.text("It will go ");
    await waitText(live(page), "It will go");
    line.cut();
    await page.locator(".line-state .bar").waitFor();
    asked.text("and come back.").end();
    await say(page, "Written while offline");
    await page.getByText("is sent when the gateway is back").waitFor();
    scenario.ok(true, "a message waits for the gateway, and says so");
    const mine = () => site.model.requests.filter(({ messages }) => JSON.stringify(messages).includes("Written while offline")).length;
    await page.goto("about:blank");
    line.mend();
    await page.goto(`${line.url}/`);
    await waitText(answers(page), "It will go and come back.");
    await scenario.until("the waiting message to be answered", async () => (await answers(page).count()) === 2);
    scenario.ok(await questions(page).filter({ hasText: "Written while offline" }).count() === 1, "it is sent once, also over a reload", await page.locator(".log").innerText());
    scenario.ok(mine() === 1, "… and answered once", mine());

    // Bytes just stop: nobody is told. What is sent then must find that out and come through once.
    asked = site.model.next("Into the silence");
    line.freeze();
    await person.offline(true);
    await page.locator(".line-state .bar").waitFor();
    await say(page, "Into the silence");
    await page.getByText("is sent when the gateway is back").waitFor();
    await page.waitForTimeout(30_000); // what is tested is half a minute without a line, not an event
    line.mend();
    await person.offline(false);
    await asked.request;
    asked.text("Heard you.").end();
    await waitText(answers(page), "Heard you.");
    await page.locator(".line-state .bar").waitFor({ state: "detached" });
    scenario.ok(await questions(page).filter({ hasText: "Into the silence" }).count() === 1, "a silent line loses and doubles nothing", await page.locator(".log").innerText());
}

async function killed(scenario, site) {
    const mortal = await startMortal(scenario, site.model);
    const { page, person } = await enter({ ...site, gateway: mortal, url: mortal.url }, "killed");
    person.expect(/WebSocket|ERR_/);
    await say(page, "Are you there?");
    await waitText(answers(page), "Done.");
    const asked = site.model.next("A long answer, please");
    await say(page, "A long answer, please");
    await asked.request;
    asked.text("As long as it ");
    await waitText(live(page), "As long as it");
    await mortal.kill();
    await page.locator(".line-state .bar").waitFor();
    await say(page, "Said to nobody");
    await mortal.start();
    await page.locator(".line-state .bar").waitFor({ state: "detached" });
    await waitText(answers(page).last(), "Done.");
    await page.locator(".message.live").waitFor({ state: "detached" });
    const said = await questions(page).allInnerTexts();
    scenario.ok(said.length === 3 && said[2].includes("Said to nobody"), "after a kill every message is there once", said);
    const broken = page.locator(".note.bad");
    scenario.ok(await broken.count() === 1, "the answer that was cut off says so", await page.locator(".log").innerText());
    await page.reload();
    await scenario.until("the same after a reload", async () => (await questions(page).count()) === 3);
    await person.leave();
    await mortal.stop();
}

// ---- pictures ----

async function attachments(scenario, site) {
    const { page } = await enter(site, "files");
    const png = picture();
    await page.locator(".composer input[type=file]").setInputFiles({ name: "chosen.png", mimeType: "image/png", buffer: png });
    await page.locator(".thumb").filter({ hasText: "chosen.png" }).waitFor();
    for (const kind of ["paste", "drop"]) {
        await page.evaluate(([bytes, how]) => {
            const data = new DataTransfer();
            data.items.add(new File([Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0))], `${how}.png`, { type: "image/png" }));
            const target = document.querySelector(".write");
            const event = how === "paste" ? new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true })
                : new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true });
            target.dispatchEvent(event);
        }, [png.toString("base64"), kind]);
        await page.locator(".thumb").filter({ hasText: `${kind}.png` }).waitFor();
    }
    await page.locator(".composer input[type=file]").setInputFiles([
        { name: "evil.html", mimeType: "text/html", buffer: Buffer.from("<script>alert(1)</script>") },
        { name: "lies.png", mimeType: "image/png", buffer: Buffer.from("<svg onload=alert(1)>") },
        { name: "huge.png", mimeType: "image/png", buffer: Buffer.concat([png, Buffer.alloc(8 << 20)]) },
    ]);
    for (const said of [/evil\.html is not a picture/, /lies\.png is not a picture/, /huge\.png has 8\.0 MB/]) await page.locator(".toast").filter({ hasText: said }).waitFor();
    scenario.ok(await page.locator(".thumb").count() === 3, "only pictures within the limit are taken");
    while (await page.locator(".toast").count()) await page.locator(".toast").first().getByRole("button", { name: "Close" }).click();
    await page.getByRole("button", { name: "Remove drop.png" }).click();
    const asked = site.model.next("What is this?");
    await say(page, "What is this?");
    const { messages } = await asked.request;
    const sent = messages.at(-1).content.filter?.(({ type }) => type === "image_url") ?? [];
    scenario.ok(sent.length === 2, "the model is given the pictures", JSON.stringify(messages.at(-1)).slice(0, 300));
    asked.text("Two squares.").end();
    await waitText(answers(page), "Two squares.");
    await page.reload();
    await page.locator(".message.user button.picture img").nth(1).waitFor();
    await page.locator(".message.user button.picture").first().click();
    await page.getByRole("dialog").locator("img").waitFor();
    await page.keyboard.press("Escape");
    scenario.ok(true, "pictures are there after a reload, larger at a click");
}

// ---- a long conversation ----

async function history(scenario, site) {
    const { page } = await enter(site, "history");
    const key = await sessionKey(page);
    const peer = await connect(site.gateway.url, { token: site.gateway.token, scopes: ["operator.admin"] });
    await say(page, "The first words");
    await waitText(answers(page), "Done.");
    for (let i = 1; i <= 150; i++) peer.request("chat.inject", { sessionKey: key, message: `Note ${i}\n\n${"A line of some length that fills the window. ".repeat(1 + (i % 5))}` });
    await waitText(answers(page), "Note 150");
    await page.reload();
    await waitText(answers(page), "Note 150");
    scenario.ok(await answers(page).count() < 100, "a page of it is read first", await answers(page).count());
    const scroll = page.locator(".scroll");
    scenario.ok(await scroll.evaluate((e) => e.scrollHeight - e.scrollTop - e.clientHeight < 70), "it begins at the end");
    await scroll.hover();
    await scenario.until("the first words", async () => {
        await page.mouse.wheel(0, -4000);
        return questions(page).filter({ hasText: "The first words" }).isVisible();
    }, 30_000);
    const texts = (await answers(page).allTextContents()).map((text) => /Note (\d+)/.exec(text)?.[1]).filter(Boolean).map(Number);
    scenario.ok(texts.length === 150 && texts.every((n, at) => n === at + 1), "paging upwards shows everything once, in order", texts.length);
    // New words do not pull the reader away, and are one click off.
    await peer.request("chat.inject", { sessionKey: key, message: "News from below" });
    await waitText(answers(page).last(), "News from below");
    scenario.ok(await questions(page).first().isVisible(), "the reader stays where they read");
    await page.getByRole("button", { name: "Jump to latest" }).click();
    await page.getByRole("button", { name: "Jump to latest" }).waitFor({ state: "hidden" });
    scenario.ok(await answers(page).last().isVisible(), "… and may jump to the latest");
    await peer.close();
}

// ---- decisions ----

async function devices(scenario, site) {
    const { page } = await enter(site, "devices");
    const device = newDevice();
    const knock = () => connect(site.link.url.replace("http", "ws"), { token: site.gateway.token, device, scopes: ["operator.read"] });
    const refused = await knock();
    scenario.ok(refused.error?.details?.code === "PAIRING_REQUIRED", "a device from elsewhere has to ask", refused.error);
    const card = page.getByRole("article", { name: "Device" }).filter({ hasText: refused.error.details.requestId });
    await card.waitFor();
    await card.getByRole("button", { name: "Approve" }).click();
    await card.waitFor({ state: "detached" });
    const let_in = await knock();
    scenario.ok(let_in.hello, "approved on the page, it is let in", let_in.error);
    await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: "Devices" }).click();
    const row = page.getByRole("row").filter({ hasText: device.deviceId.slice(0, 16) });
    await row.getByText("connected").waitFor();
    await row.getByRole("button", { name: /Actions/ }).click();
    await page.getByRole("menuitem", { name: /Rename/ }).click();
    await page.getByRole("textbox", { name: "Name" }).fill("Kitchen tablet");
    await page.getByRole("dialog").getByRole("button", { name: "Rename" }).click();
    await row.getByText("Kitchen tablet").waitFor();
    await row.getByRole("button", { name: /Actions/ }).click();
    await page.getByRole("menuitem", { name: /Remove/ }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
    const { code } = await let_in.closed;
    scenario.ok(code === 4001, "removed on the page, it is thrown out", code);
    await row.waitFor({ state: "detached" });
}

async function approvals(scenario, site) {
    const { page } = await enter(site, "approvals");
    const peer = await connect(site.gateway.url, { token: site.gateway.token, scopes: ["operator.admin", "operator.approvals"] });
    const ask = (command) => peer.request("exec.approval.request", { command, cwd: "/srv", host: "gateway", sessionKey: "main", timeoutMs: 60_000 }, 60_000);
    for (const [button, decision] of [["Allow once", "allow-once"], ["Deny", "deny"]]) {
        const command = `echo ${decision} > /tmp/<b>x</b>`;
        const answer = ask(command);
        const card = page.getByRole("article", { name: "Approval" }).filter({ hasText: command });
        await card.waitFor();
        await card.getByRole("button", { name: button }).click();
        const { payload } = await answer;
        scenario.ok(payload?.decision === decision, `${button} is answered ${decision}`, payload);
        await card.waitFor({ state: "detached" });
    }
    await peer.close();

    const asked = site.model.next("Run it for me");
    await say(page, "Run it for me");
    await asked.request;
    asked.call("exec", { command: "echo out of the host" }).end();
    const card = page.getByRole("article", { name: "Approval" }).filter({ hasText: "out of the host" });
    await card.waitFor();
    site.model.next("Run it for me").text("It ran.").end();
    await card.getByRole("button", { name: "Allow once" }).click();
    await page.locator(".tool[data-status=done]").waitFor();
    await waitText(answers(page), "It ran.");
    await page.locator(".tool summary").click();
    const shown = await page.locator(".tool").innerText();
    scenario.ok(shown.includes("Result") && shown.split("out of the host").length > 2, "an agent's command runs once it is allowed, and shows what it said", shown);
}
