// What the pages are made of: a head, a body that is read from the gateway, tables that fold on a narrow screen.
import { h, icon, replace } from "../dom.js";
import { time } from "../format.js";

// A page reads what it shows by `read`, shows it by `draw(data)` and reads again when one of `events` comes and
// every `everyMs` while it can be seen.
export class Page {
    #app;
    #read;
    #draw;
    #body = h("div", { class: "page-body" });
    #offs = [];
    #again = 0;
    #timer = 0;
    #data = null;
    #closed = false;

    constructor(app, shell, { title, lede, read, draw, events = [], everyMs = 0, actions = [] }) {
        this.#app = app;
        this.#read = read;
        this.#draw = draw;
        this.element = h("div", { class: "page" },
            h("div", { class: "head" }, shell.drawerButton(), h("h1", null, title), h("div", { class: "head-tools" }, actions)),
            h("div", { class: "page-scroll", tabindex: 0 }, h("div", { class: "page-inside" }, lede && h("p", { class: "lede" }, lede), this.#body)));
        replace(this.#body, waiting());
        for (const event of events) this.#offs.push(app.on(event, () => this.#soon()));
        this.#offs.push(app.on("open", () => this.load()));
        if (everyMs) this.#timer = setInterval(() => document.visibilityState === "visible" && this.load(), everyMs);
    }

    shown() {
        this.load();
    }

    close() {
        this.#closed = true;
        clearInterval(this.#timer);
        clearTimeout(this.#again);
        for (const off of this.#offs) off();
    }

    async load() {
        try {
            this.#data = await this.#read();
        } catch (error) {
            if (this.#closed || error.lost) return;
            replace(this.#body, h("div", { class: "note bad", role: "alert" }, icon("warn"), h("div", null, h("p", null, `This cannot be shown: ${error.message}`)),
                h("button", { type: "button", class: "button small", on: { click: () => this.load() } }, "Try again")));
            return;
        }
        this.redraw();
    }

    redraw() {
        if (this.#closed || this.#data === null) return;
        const focus = document.activeElement?.closest?.("[data-focus]")?.dataset.focus;
        replace(this.#body, this.#draw(this.#data));
        if (focus) this.#body.querySelector(`[data-focus="${CSS.escape(focus)}"]`)?.focus();
    }

    // Events come in crowds.
    #soon() {
        clearTimeout(this.#again);
        this.#again = setTimeout(() => this.load(), 150);
    }
}

const waiting = () => h("p", { class: "calm", role: "status" }, h("span", { class: "dot busy" }), "Reading …");

export function empty(name, title, ...text) {
    return h("div", { class: "empty" }, icon(name), h("h2", null, title), text.map((one) => (typeof one === "string" ? h("p", null, one) : one)));
}

// columns: [title, row => content, {class}]. A row becomes a card where there is no room for columns.
export function table(label, columns, rows) {
    return h("div", { class: "sheet" }, h("table", { "aria-label": label },
        h("thead", null, h("tr", null, columns.map(([title, , { wide } = {}]) => h("th", { scope: "col", class: wide ? "wide" : null }, title || h("span", { class: "unseen" }, "Actions"))))),
        h("tbody", null, rows.map((row) => h("tr", null, columns.map(([title, content, { kind } = {}]) => h("td", { "data-title": title || null, class: kind ?? null }, h("div", null, content(row)))))))));
}

export function section(title, ...children) {
    return h("section", { class: "part" }, h("h2", null, title), children);
}

export function facts(pairs) {
    return h("dl", { class: "facts" }, pairs.filter(([, value]) => value !== null && value !== undefined && value !== false && value !== "").map(([name, value]) => [h("dt", null, name), h("dd", null, value)]));
}

export function figures(list) {
    return h("div", { class: "figures" }, list.filter(Boolean).map(([name, value, note]) => h("div", { class: "figure" }, h("span", { class: "figure-name" }, name), h("strong", null, value), note && h("span", { class: "faint" }, note))));
}

export const badge = (text, kind = "") => h("span", { class: `badge ${kind}` }, text);
export const code = (text) => h("code", null, text);
export const chips = (list = []) => h("span", { class: "chips" }, list.map((one) => badge(one)));
export { time };
