// Two views of what happens: the events this page hears, and the end of the gateway's log.
import { h, icon } from "../dom.js";
import { time } from "../format.js";

const EVERY_MS = 2_000, LINES_MAX = 1_000;
const QUIET = new Set(["tick", "health", "presence"]);

export class Log {
    #app;
    #cursor = null;
    #lines = [];
    #timer = 0;
    #off;
    #frame = 0;
    #mode = "log";
    #filter = h("input", { class: "input", type: "search", placeholder: "Filter", "aria-label": "Filter lines" });
    #list = h("ol");
    #out = h("div", { class: "lines-log", role: "log", "aria-live": "off", "aria-label": "Lines", tabindex: 0 }, this.#list);
    #tabs;
    #busy = false;
    #note = h("p", { class: "faint", role: "status" });

    constructor(app, shell) {
        this.#app = app;
        this.#tabs = [["log", "Gateway log"], ["events", "Events"]].map(([id, label]) => h("button", {
            type: "button", class: "button small", "aria-pressed": String(id === this.#mode), data: { id }, on: { click: () => this.#choose(id) },
        }, label));
        this.element = h("div", { class: "page" },
            h("div", { class: "head" }, shell.drawerButton(), h("h1", null, "Log")),
            h("div", { class: "page-tools" }, h("div", { class: "buttons", role: "group", "aria-label": "What to show" }, this.#tabs), h("div", { class: "search" }, icon("search"), this.#filter), this.#note),
            this.#out);
        this.#filter.addEventListener("input", () => this.#draw());
        this.#off = app.on("events", () => this.#mode === "events" && this.#later());
    }

    shown() {
        this.#poll();
        this.#timer = setInterval(() => this.#poll(), EVERY_MS);
    }

    close() {
        clearInterval(this.#timer);
        cancelAnimationFrame(this.#frame);
        this.#off();
    }

    #choose(mode) {
        this.#mode = mode;
        for (const tab of this.#tabs) tab.setAttribute("aria-pressed", String(tab.dataset.id === mode));
        this.#draw(true);
    }

    async #poll() {
        if (this.#busy || this.#mode !== "log" || document.visibilityState !== "visible" || this.#app.connection.phase !== "open") return;
        this.#busy = true;
        try {
            const { cursor, lines, reset } = await this.#app.connection.request("logs.tail", { limit: LINES_MAX, ...(this.#cursor !== null && { cursor: this.#cursor }) });
            if (reset) this.#lines = [];
            const first = this.#cursor === null;
            this.#cursor = cursor;
            this.#lines.push(...lines.map(parse));
            this.#lines.splice(0, Math.max(0, this.#lines.length - LINES_MAX));
            this.#note.textContent = "";
            if (lines.length || reset || first) this.#draw(first);
        } catch (error) {
            if (!error.lost) this.#note.textContent = `The log cannot be read: ${error.message}`;
        }
        this.#busy = false;
    }

    #later() {
        this.#frame ||= requestAnimationFrame(() => (this.#frame = 0, this.#draw()));
    }

    #draw(jump = false) {
        const out = this.#out;
        const stay = !jump && out.scrollHeight - out.scrollTop - out.clientHeight > 40;
        const wanted = this.#filter.value.trim().toLowerCase();
        const rows = this.#mode === "log" ? this.#lines : this.#app.events.filter(({ event }) => !QUIET.has(event) || wanted).map(eventLine);
        const shown = rows.filter(({ text }) => !wanted || text.toLowerCase().includes(wanted));
        this.#list.replaceChildren(...(shown.length ? shown.map((row) => (row.element ??= line(row))) : [h("li", { class: "faint" }, rows.length ? "No line has this in it." : "Nothing yet.")]));
        if (!stay) out.scrollTop = out.scrollHeight;
    }
}

// A line of JSON, as the gateway writes its log, or whatever else it is.
function parse(text) {
    try {
        const row = JSON.parse(text);
        const level = row.level ?? row._meta?.logLevelName?.toLowerCase() ?? "";
        return { text, at: Date.parse(row.time ?? row.ts ?? "") || 0, level, subject: row.subsystem ?? row.subject ?? "", message: row.message ?? row.msg ?? text };
    } catch {
        return { text, at: 0, level: "", subject: "", message: text };
    }
}

function eventLine(one) {
    one.row ??= (() => {
        const message = JSON.stringify(one.payload) ?? "";
        return { text: `${one.event} ${message}`, at: one.at, level: "", subject: one.event, message: message.length > 600 ? `${message.slice(0, 600)}…` : message };
    })();
    return one.row;
}

function line({ at, level, subject, message }) {
    return h("li", { class: level }, at ? time(at, "clock") : null, level && h("b", null, level), subject && h("i", null, subject), h("span", null, message));
}
