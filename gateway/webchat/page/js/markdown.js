// Markdown to elements, the only door from text to markup. marked parses, DOMPurify keeps a short list of tags and
// attributes, and what is left is dressed: links leave safely, images of other hosts become links, code gets its
// bar. HTML that somebody wrote is shown as the text it is, except a few harmless tags.
//
// A view remembers what it has rendered block by block, so that text that grows re-renders only its last block.
import DOMPurify from "../vendor/purify.js";
import { Marked } from "../vendor/marked.js";
import { h, icon } from "./dom.js";
import { copyText } from "./clipboard.js";

const HARMLESS = /^(?:[^<]|<\/?(?:br|sub|sup|kbd|mark|u|s|del|ins|small|details|summary)\s*\/?>)*$/i;
const POLICY = {
    ALLOWED_TAGS: ["a", "blockquote", "br", "code", "del", "details", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "img", "ins", "kbd", "li",
        "mark", "ol", "p", "pre", "s", "small", "strong", "sub", "summary", "sup", "table", "tbody", "td", "th", "thead", "tr", "u", "ul"],
    ALLOWED_ATTR: ["align", "alt", "class", "href", "src", "start", "title"],
    ALLOWED_URI_REGEXP: /^(?:https?:|mailto:|data:image\/(?:png|jpeg|gif|webp);base64,)/i,
    ADD_URI_SAFE_ATTR: ["align", "start"], // no addresses, so not held to the rule above
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    RETURN_DOM_FRAGMENT: true,
};

const escape = (text) => text.replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);

const renderer = {
    html: ({ text }) => (HARMLESS.test(text) ? text : escape(text)),
    checkbox: ({ checked }) => (checked ? "☑ " : "☐ "),
    image: ({ href, title, text }) => /^data:image\/(png|jpeg|gif|webp);base64,/i.test(href)
        ? `<img src="${escape(href)}" alt="${escape(text || title || "image")}">`
        : `<a class="picture" href="${escape(href)}">${escape(text || title || href)}</a>`,
};
const marked = new Marked({ gfm: true, breaks: true, renderer });

export class MarkdownView {
    element = h("div", { class: "markdown" });
    #blocks = []; // {raw, nodes}
    #source = null;

    constructor(text = "") {
        this.update(text);
    }

    update(text) {
        if (text === this.#source) return;
        this.#source = text;
        const tokens = marked.lexer(text).filter((token) => token.type !== "space" && token.type !== "def");
        let same = 0;
        while (same < tokens.length && same < this.#blocks.length && this.#blocks[same].raw === tokens[same].raw) same++;
        for (const { nodes } of this.#blocks.splice(same)) for (const node of nodes) node.remove();
        for (const token of tokens.slice(same)) {
            const nodes = render(token);
            this.element.append(...nodes);
            this.#blocks.push({ raw: token.raw, nodes });
        }
    }
}

function render(token) {
    if (token.type === "code") return [codeBlock(token.text, token.lang)];
    const fragment = DOMPurify.sanitize(marked.parser([token]), POLICY);
    dress(fragment);
    return [...fragment.childNodes];
}

function dress(fragment) {
    for (const element of fragment.querySelectorAll("[class]:not(a.picture, pre > code)")) element.removeAttribute("class");
    for (const link of fragment.querySelectorAll("a")) dressLink(link);
    for (const image of fragment.querySelectorAll("img")) if (!image.src.startsWith("data:image/")) image.replaceWith(image.alt);
    for (const pre of fragment.querySelectorAll("pre")) {
        const code = pre.querySelector("code");
        pre.replaceWith(codeBlock(pre.textContent.replace(/\n$/, ""), /language-(\S+)/.exec(code?.className ?? "")?.[1]));
    }
    for (const table of fragment.querySelectorAll("table")) {
        const frame = h("div", { class: "table", tabindex: 0, role: "group", "aria-label": "Table" });
        table.replaceWith(frame);
        frame.append(table);
    }
    // Headings of a message stay below those of the page.
    for (const heading of fragment.querySelectorAll("h1,h2,h3,h4,h5,h6")) {
        const level = Math.min(6, Number(heading.tagName[1]) + 2);
        heading.replaceWith(h(`h${level}`, { class: `like-${heading.tagName.toLowerCase()}` }, [...heading.childNodes]));
    }
}

function dressLink(link) {
    const href = link.getAttribute("href");
    if (!href) {
        link.replaceWith(...link.childNodes);
        return;
    }
    link.target = "_blank";
    link.rel = "noopener noreferrer";
    link.referrerPolicy = "no-referrer";
    if (link.className === "picture") link.prepend(icon("file"), "image: ");
    if (!link.title) link.title = href.slice(0, 300);
}

function codeBlock(text, language) {
    const label = (language ?? "").split(/\s/)[0].slice(0, 30);
    return h("figure", { class: "code" },
        h("figcaption", null, h("span", null, label || "text"), copyButton(() => text)),
        h("pre", { tabindex: 0, role: "group", "aria-label": `Code${label ? ` in ${label}` : ""}` }, h("code", null, text)));
}

export function copyButton(text, label = "Copy") {
    const button = h("button", { type: "button", class: "button plain small copy", on: { click: () => copyText(text(), button) } }, icon("copy"), h("span", null, label));
    return button;
}
