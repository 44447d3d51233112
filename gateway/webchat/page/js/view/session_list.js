// The sessions, by day, with search. A row is a link; what it offers besides is in its menu.
import { arrange, h, icon, iconButton, replace } from "../dom.js";
import { dayName, time } from "../format.js";
import { titleOf, withoutMarks } from "../sessions.js";
import { sessionMenu } from "./session_actions.js";

const SEARCH_MS = 150;

export class SessionList {
    #app;
    #selected = null;
    #rows = new Map(); // key → {element, state}
    #body = h("div", { class: "sessions" });
    #search = h("input", { class: "input", type: "search", placeholder: "Search", "aria-label": "Search sessions", enterkeyhint: "search" });
    #archived = h("button", { type: "button", class: "button plain small", "aria-pressed": "false" }, icon("archive"), "Archived");
    #days = new Map();
    #frame = 0;

    constructor(app, { newChat }) {
        this.#app = app;
        let timer = 0;
        this.#search.addEventListener("input", () => {
            clearTimeout(timer);
            timer = setTimeout(() => (app.sessions.search = this.#search.value, app.sessions.load()), SEARCH_MS);
        });
        this.#archived.addEventListener("click", () => {
            app.sessions.archived = !app.sessions.archived;
            this.#archived.setAttribute("aria-pressed", String(app.sessions.archived));
            app.sessions.load();
        });
        this.element = h("nav", { class: "list", "aria-label": "Sessions" },
            h("div", { class: "list-head" },
                h("h2", null, "Sessions"),
                h("button", { type: "button", class: "button small", title: "New chat (Alt N)", on: { click: newChat } }, icon("plus"), "New chat")),
            h("div", { class: "search" }, icon("search"), this.#search),
            this.#body,
            h("div", { class: "list-foot" }, this.#archived));
        app.on("sessions", () => this.#later());
        setInterval(() => this.#later(), 60_000); // times grow old
        this.#render();
    }

    focusSearch() {
        this.#search.focus();
        this.#search.select();
    }

    select(key) {
        this.#selected = key;
        this.#render();
    }

    step(by) {
        const { rows } = this.#app.sessions;
        const at = rows.findIndex(({ key }) => key === this.#selected);
        const row = rows[Math.max(0, Math.min(rows.length - 1, at + by))];
        if (row) location.hash = `#/chat/${encodeURIComponent(row.key)}`;
    }

    #later() {
        this.#frame ||= requestAnimationFrame(() => (this.#frame = 0, this.#render()));
    }

    #render() {
        const { sessions } = this.#app;
        const wanted = [];
        let day = null;
        for (const row of sessions.rows) {
            const name = row.pinned ? "Pinned" : row.updatedAt ? dayName(row.updatedAt) : "New";
            if (name !== day) wanted.push(this.#day((day = name)));
            wanted.push(this.#row(row));
        }
        for (const key of this.#rows.keys()) if (!sessions.rows.some((row) => row.key === key)) this.#rows.delete(key);
        if (!sessions.rows.length) wanted.push(this.#empty());
        if (sessions.hasMore) wanted.push(h("button", { type: "button", class: "button small", on: { click: () => sessions.load({ more: true }) } }, "Show more"));
        arrange(this.#body, wanted);
    }

    #empty() {
        const { sessions } = this.#app;
        if (sessions.error) return h("p", { class: "list-note", role: "alert" }, `The list cannot be read: ${sessions.error.message}`);
        if (!sessions.loaded) return h("p", { class: "list-note" }, "Reading …");
        if (sessions.search) return h("p", { class: "list-note" }, "Nothing has this in its name or first words.");
        return h("p", { class: "list-note" }, sessions.archived ? "Nothing is archived." : "Your chats will stand here.");
    }

    #day(name) {
        if (!this.#days.has(name)) this.#days.set(name, h("h3", null, name));
        return this.#days.get(name);
    }

    #row(row) {
        const busy = row.hasActiveRun, current = row.key === this.#selected;
        const state = JSON.stringify([titleOf(row), row.lastMessagePreview, row.updatedAt, busy, row.unread, current, Math.floor(Date.now() / 60_000)]);
        const known = this.#rows.get(row.key);
        if (known?.state === state) return known.element;
        const element = known?.element ?? h("div", { class: "row" });
        const focused = element.contains(document.activeElement);
        replace(element,
            h("a", { class: "session", href: `#/chat/${encodeURIComponent(row.key)}`, "aria-current": current ? "page" : null },
                h("span", { class: "session-title" }, titleOf(row)),
                time(row.updatedAt),
                h("span", { class: "session-preview" }, withoutMarks(row.lastMessagePreview) || "No messages yet"),
                busy ? h("span", { class: "dot busy", title: "Answering" }, h("span", { class: "unseen" }, "answering"))
                    : row.unread && !current && h("span", { class: "dot good", title: "Unread" }, h("span", { class: "unseen" }, "unread"))),
            iconButton("more", `Actions for ${titleOf(row)}`, (event) => sessionMenu(this.#app, row, event.currentTarget), { small: true, "aria-haspopup": "menu" }));
        if (focused) element.querySelector("a").focus();
        this.#rows.set(row.key, { element, state });
        return element;
    }
}
