// The browser kit itself: it sees what a page does wrong, keeps people apart, and its line breaks as told.
import fs from "node:fs";
import http from "node:http";
import path from "node:path";
import { inaccessible, startBrowser, startLink } from "./kit/browser.mjs";

const POLICY = "default-src 'none'; script-src 'self'; connect-src 'self'";
const PAGES = {
    "/good": ["text/html", "<!doctype html><html lang=en><title>good</title><main><h1>Good</h1></main>"],
    "/thrown": ["text/html", "<!doctype html><html lang=en><title>t</title><script src=/thrown.js></script>"],
    "/thrown.js": ["text/javascript", "throw new Error('a page threw this')"],
    "/inline": ["text/html", "<!doctype html><html lang=en><title>i</title><script>globalThis.ran = true</script>"],
    "/missing": ["text/html", "<!doctype html><html lang=en><title>m</title><script src=/nowhere.js></script>"],
    "/unlabelled": ["text/html", "<!doctype html><html lang=en><title>u</title><main><h1>Form</h1><input></main>"],
};

export default async function (scenario) {
    const server = http.createServer((request, response) => {
        const [type, body] = PAGES[request.url] ?? ["text/plain", ""];
        response.writeHead(PAGES[request.url] ? 200 : 404, { "Content-Type": type, "Content-Security-Policy": POLICY });
        response.end(body);
    });
    await new Promise((done) => server.listen(0, "127.0.0.1", done));
    scenario.atEnd(() => (server.closeAllConnections(), new Promise((done) => server.close(done))));
    const site = `http://127.0.0.1:${server.address().port}`;
    const browser = await startBrowser(scenario);
    const ann = await browser.person("ann");

    const good = await ann.open(`${site}/good`);
    scenario.ok(ann.problems.length === 0, "a good page is no problem", ann.problems);
    for (const [page, said] of [["thrown", /a page threw this/], ["inline", /Content.Security.Policy/], ["missing", /404/]]) {
        await (await ann.open(`${site}/${page}`)).close();
        await scenario.until(`the problem of /${page}`, () => ann.problems.length > 0);
        scenario.ok(said.test(ann.problems.splice(0).join("\n")), `/${page} is noticed`, ann.problems);
    }
    ann.expect(/a page threw this/);
    await (await ann.open(`${site}/thrown`)).close();
    scenario.ok(ann.problems.length === 0, "what was expected is no problem", ann.problems);

    scenario.ok((await inaccessible(good)).length === 0, "axe-core finds nothing wrong with a good page");
    const found = await inaccessible(await ann.open(`${site}/unlabelled`));
    scenario.ok(found.some((line) => line.includes("label")), "axe-core finds an input without a label", found);

    await ann.shot(good, "good");
    scenario.ok(fs.statSync(path.join(browser.shots, "good.png")).size > 500, "a screenshot is kept");
    await peopleAreApart(scenario, browser, site);
    await linesBreak(scenario, ann, server.address().port);
}

async function peopleAreApart(scenario, browser, site) {
    const write = (page) => page.evaluate(() => localStorage.setItem("who", "me"));
    const read = (page) => page.evaluate(() => localStorage.getItem("who"));
    const bob = await browser.person("bob");
    await write(await bob.open(`${site}/good`));
    const eve = await browser.person("eve");
    scenario.ok(await read(await eve.open(`${site}/good`)) === null, "people do not share storage");
    const kim = await browser.person("kim", { kept: true });
    await write(await kim.open(`${site}/good`));
    await kim.leave();
    const again = await browser.person("kim", { kept: true });
    scenario.ok(await read(await again.open(`${site}/good`)) === "me", "a kept profile is there when opened again");
}

async function linesBreak(scenario, ann, port) {
    const link = await startLink(scenario, port);
    const page = await ann.open(`${link.url}/good`);
    const ask = (ms) => page.evaluate((limit) => fetch("/good", { cache: "no-store", signal: AbortSignal.timeout(limit) }).then((r) => r.status, (e) => e.name), ms);
    scenario.ok(await ask(15_000) === 200, "a whole line carries");
    link.freeze();
    scenario.ok(await ask(300) === "TimeoutError", "a frozen one says nothing");
    link.mend();
    scenario.ok(await ask(15_000) === 200, "mended, it carries again");
    ann.expect(/ERR_CONNECTION|ERR_EMPTY|ERR_NETWORK|Failed to load/);
    link.cut();
    scenario.ok(await ask(15_000) === "TypeError", "a cut one refuses");
    link.mend();
    scenario.ok(await ask(15_000) === 200, "… until it is mended");
    await ann.offline(true);
    scenario.ok(await ask(15_000) === "TypeError" && !await page.evaluate(() => navigator.onLine), "offline is offline");
    await ann.offline(false);
}
