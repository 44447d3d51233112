// The signed-in page: rail (pages), list (sessions), main (what is looked at), aside (details of a session), the line's
// state and what waits for a decision. Routes stand in the fragment: #/chat/<session key>, #/<page>.
import { h, icon, iconButton, replace } from "../dom.js";
import { Chat } from "./chat.js";
import { SessionList } from "./session_list.js";
import { Requests } from "./requests.js";
import { LineState } from "./line_state.js";
import { bindKeys, showShortcuts } from "./keys.js";
import { themeButton } from "./theme.js";
import { PAGES } from "../page/pages.js";
import { confirm } from "./dialogs.js";
import { tab } from "../storage.js";
import { toast } from "../toast.js";
import { openMenu } from "./menu.js";

const NARROW = matchMedia("(max-width: 60rem)");

export class Shell {
    #app;
    #view = null;
    #viewId = null;
    #signOut;
    #title = "Chat";
    #news = false;
    #version = null;
    #rail = h("ul", { class: "rail-items" });
    #main = h("main", { id: "main", tabindex: -1 });
    #side;

    constructor(app, { signOut }) {
        this.#app = app;
        this.#signOut = signOut;
        this.list = new SessionList(app, { newChat: () => this.newChat() });
        this.requests = new Requests(app);
        this.line = new LineState(app.connection);
        this.#side = h("div", { class: "side", id: "side" },
            h("header", { class: "rail" },
                h("a", { class: "brand", href: "#/chat", title: "Culvert" }, icon("arch"), h("span", { class: "unseen" }, "Culvert WebChat")),
                h("nav", { "aria-label": "Pages" }, this.#rail),
                h("div", { class: "rail-tools" },
                    themeButton(),
                    iconButton("help", "Keyboard shortcuts (?)", () => showShortcuts()),
                    iconButton("key", "This browser", (event) => this.#browserMenu(event.currentTarget), { "aria-haspopup": "menu" }))),
            this.list.element);
        this.element = h("div", { class: "shell" },
            h("a", { class: "skip", href: "#/chat", on: { click: (event) => (event.preventDefault(), this.#main.focus()) } }, "Skip to content"),
            this.#side,
            h("div", { class: "veil", on: { click: () => this.drawer(false) } }),
            h("div", { class: "stage" }, this.line.element, this.requests.element, this.#main));
        app.on("open", () => this.#opened());
        app.on("deleted", (key) => this.#deleted(key));
        app.on("approvals", () => this.title());
        app.on("pairing", () => this.title());
        app.on("event:chat", ({ state }) => state !== "delta" && state !== "status" && document.visibilityState === "hidden" && ((this.#news = true), this.title()));
        document.addEventListener("visibilitychange", () => this.#noticed());
        addEventListener("hashchange", () => this.route());
        NARROW.addEventListener("change", () => this.drawer(false));
        bindKeys({
            newChat: () => this.newChat(),
            search: () => (this.drawer(true), this.list.focusSearch()),
            compose: (text) => this.#view?.compose?.(text),
            step: (by) => this.list.step(by),
            escape: () => this.#escape(),
        });
        this.#opened();
    }

    shown() {
        this.drawer(false);
        this.route();
    }

    // ---- where to ----

    route() {
        const [, page = "chat", ...rest] = location.hash.slice(1).split("/");
        const wanted = PAGES.find((one) => one.id === page && this.#offers(one));
        if (wanted) this.#show(wanted.id, () => new wanted.view(this.#app, this), wanted.label);
        else this.#chat(rest.length ? decode(rest.join("/")) : this.#lastKey());
        this.drawer(false);
        for (const link of this.#rail.querySelectorAll("a")) set(link, link.dataset.page === (wanted?.id ?? "chat"));
        this.list.element.toggleAttribute("data-aside", Boolean(wanted));
    }

    #chat(key) {
        if (this.#viewId === `chat ${key}`) return;
        this.list.select(key);
        tab.set("culvert.session", key);
        this.#show(`chat ${key}`, () => new Chat(this.#app, this, key), "Chat");
    }

    #lastKey() {
        return tab.get("culvert.session") ?? this.#app.defaults.mainSessionKey ?? "agent:main:main";
    }

    #show(id, make, title) {
        if (id === this.#viewId) return;
        this.#view?.close?.();
        this.#viewId = id;
        this.#view = make();
        if (!id.startsWith("chat ")) this.list.select(null);
        this.title(title);
        replace(this.#main, this.#view.element);
        this.#view.shown?.();
    }

    // What waits for a decision and what ended while nobody looked stand in the tab's title too.
    title(text = this.#title) {
        const { approvals, pairing } = this.#app;
        const waiting = approvals.size + pairing.size;
        this.#title = text;
        document.title = `${waiting ? `(${waiting}) ` : ""}${this.#news ? "● " : ""}${text} · Culvert`;
    }

    #noticed() {
        if (document.visibilityState === "hidden") return;
        this.#news = false;
        this.title();
    }

    open(key) {
        location.hash = `#/chat/${encodeURIComponent(key)}`;
    }

    async newChat() {
        try {
            const agentId = this.#view?.agentId;
            const { key } = await this.#app.connection.request("sessions.create", agentId ? { agentId } : {});
            this.open(key);
        } catch (error) {
            toast(error.lost ? "Not connected. A new chat can be begun when the gateway is back." : `No new chat: ${error.message}`, { bad: true });
        }
    }

    #deleted(key) {
        if (this.#viewId !== `chat ${key}`) return;
        tab.set("culvert.session", null);
        this.#viewId = null;
        toast("This session was deleted.");
        if (location.hash === "#/chat") this.route();
        else location.hash = "#/chat";
    }

    // ---- the side ----

    drawer(open) {
        const narrow = NARROW.matches;
        this.element.toggleAttribute("data-drawer", narrow && open);
        this.#side.inert = narrow && !open;
        this.element.querySelector(".stage").inert = narrow && open;
        if (narrow && open) this.#side.querySelector(".session[aria-current], .rail a[aria-current]")?.focus();
    }

    drawerButton() {
        return iconButton("menu", "Sessions and pages", () => this.drawer(true), { "aria-controls": "side", class: "button square plain drawer-button" });
    }

    #escape() {
        if (this.element.hasAttribute("data-drawer")) this.drawer(false);
        else this.#view?.escape?.();
    }

    #offers({ needs, scope }) {
        const { connection } = this.#app;
        return connection.has(needs) && connection.may(scope);
    }

    #opened() {
        const { connection } = this.#app;
        const { version } = connection.hello.server ?? {};
        if (this.#version && version !== this.#version) toast(`The gateway is now Culvert ${version}.`, { action: { label: "Reload this page", run: () => location.reload() } });
        this.#version = version;
        const items = [{ id: "chat", label: "Chat", icon: "chat" }, ...PAGES.filter((page) => this.#offers(page))];
        replace(this.#rail, items.map(({ id, label, icon: name }) => h("li", null,
            h("a", { href: `#/${id}`, data: { page: id } }, icon(name), h("span", null, label)))));
        if (this.element.isConnected) this.route();
        for (const link of this.#rail.querySelectorAll("a")) set(link, link.dataset.page === (this.#viewId?.split(" ")[0] ?? "chat"));
    }

    #browserMenu(anchor) {
        openMenu(anchor, [
            { label: "Sign out of this browser", icon: "leave", bad: true, run: () => this.#askSignOut() },
        ], { heading: this.#app.connection.hello?.server?.version && `Culvert ${this.#app.connection.hello.server.version}` });
    }

    async #askSignOut() {
        const sure = await confirm({
            title: "Sign out of this browser?",
            text: "Its key is thrown away and the gateway forgets it. To come back you need a sign-in link (culvert webchat) or the token.",
            yes: "Sign out", bad: true,
        });
        if (sure) this.#signOut();
    }
}

function set(link, current) {
    if (current) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
}

function decode(text) {
    try {
        return decodeURIComponent(text);
    } catch {
        return text;
    }
}
