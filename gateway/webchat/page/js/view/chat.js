// One session: its head, the transcript, the composer and, where there is room, its details.
//
// The transcript is drawn once per frame from the conversation: an entry keeps its element until its state changes.
// It stays at the bottom while the reader is there, and where the reader is otherwise.
import { arrange, h, icon, iconButton, replace } from "../dom.js";
import { dayName, plural } from "../format.js";
import { titleOf, withoutMarks } from "../sessions.js";
import { textOf } from "../conversation.js";
import { kept } from "../storage.js";
import { toast } from "../toast.js";
import { Composer } from "./composer.js";
import { Details } from "./details.js";
import { MessageViews } from "./message.js";
import { rename, sessionMenu } from "./session_actions.js";

const NEAR_BOTTOM = 64, NEAR_TOP = 400; // pixels
const NEAR_COUNT = 6; // messages that are laid out wherever the reader is
const WIDE = matchMedia("(min-width: 100rem)");

export class Chat {
    #app;
    #shell;
    #conversation;
    #title = h("button", { type: "button", class: "title", title: "Rename" });
    #state = h("span", { class: "badge water", hidden: true });
    #log = h("div", { class: "log", role: "log", "aria-label": "Conversation", "aria-live": "off", tabindex: -1 });
    #scroll;
    #older = h("div", { class: "older" });
    #latest;
    #said = h("div", { class: "unseen", role: "status", "aria-live": "polite" });
    #views;
    #offs = [];
    #frame = 0;
    #atBottom = true;
    #top = 0; // where it was scrolled to last
    #days = new Map();
    #toggle;

    constructor(app, shell, key) {
        this.#app = app;
        this.#shell = shell;
        this.#conversation = app.conversation(key);
        this.#views = new MessageViews({
            agentName: () => this.#agentName(),
            retry: (entry) => this.#retry(entry),
            edit: (text) => this.composer.set(text),
            drop: (entry) => (this.composer.set(entry.text), app.outbox.drop(entry)),
            resend: (entry) => app.outbox.retry(entry),
            cancel: (runId) => this.#abort(runId),
        });
        this.composer = new Composer(app, this.#conversation, { send: (...what) => this.#send(...what), stop: () => this.#abort() });
        this.details = new Details(app, this.#conversation);
        this.#latest = h("button", { type: "button", class: "button latest", hidden: true, on: { click: () => this.#toBottom(true) } }, icon("down"), "Jump to latest");
        this.#scroll = h("div", { class: "scroll", on: { scroll: () => this.#scrolled() } }, this.#older, this.#log);
        this.#toggle = iconButton("panel", "Session details", () => this.#showDetails(this.details.element.hidden), { "aria-expanded": "false" });
        this.#title.addEventListener("click", () => rename(app, this.#row()));
        this.element = h("div", { class: "chat" },
            h("div", { class: "conversation" },
                h("div", { class: "head" },
                    shell.drawerButton(),
                    h("h1", null, this.#title), this.#state,
                    h("div", { class: "head-tools" },
                        this.#toggle,
                        iconButton("more", "Session actions", (event) => sessionMenu(app, this.#row(), event.currentTarget), { "aria-haspopup": "menu" }))),
                this.#scroll,
                h("div", { class: "foot" }, this.#latest, this.composer.element),
                this.#said),
            this.details.element);
        this.#offs.push(
            this.#conversation.on("change", () => this.#later()),
            this.#conversation.on("ended", (end) => this.#sayEnd(end)),
            this.#conversation.on("failed", (error) => toast(`Older messages cannot be read: ${error.message}`, { bad: true })),
            app.on("sessions", () => this.#later()),
            app.on("catalogue", () => this.#later()),
            app.on("open", () => this.#later()));
        this.#resize = new ResizeObserver(() => this.#atBottom && this.#toBottom());
        this.#resize.observe(this.#log);
        this.#resize.observe(this.#scroll);
        const wide = () => this.#showDetails(WIDE.matches && kept.get("culvert.details") !== "closed", false);
        WIDE.addEventListener("change", wide);
        this.#offs.push(() => WIDE.removeEventListener("change", wide));
        wide();
        this.#render();
    }

    #resize;

    get agentId() {
        return this.#conversation.info?.agentId;
    }

    shown() {
        this.#app.watch(this.#conversation.key);
        if (matchMedia("(hover: hover)").matches) this.composer.focus();
        this.#toBottom();
    }

    close() {
        for (const off of this.#offs) off();
        cancelAnimationFrame(this.#frame);
        this.#resize.disconnect();
        this.composer.close();
        this.details.close();
    }

    compose(text) {
        this.composer.focus();
        if (text && !this.composer.text) this.composer.set(text);
    }

    escape() {
        if (this.#conversation.busy) this.#abort();
    }

    #row() {
        return this.#app.sessions.find(this.#conversation.key) ?? this.#conversation.info ?? { key: this.#conversation.key, isMain: this.#conversation.key === this.#app.defaults.mainSessionKey };
    }

    #agentName() {
        const id = this.#conversation.info?.agentId ?? this.#app.defaults.defaultAgentId;
        const agent = this.#app.agents.find((one) => one.id === id);
        return agent?.identity?.name ?? agent?.name ?? (id && id !== "main" ? id : "Culvert");
    }

    // ---- doing ----

    #send(text, attachments) {
        this.#app.outbox.send(this.#conversation.key, text, attachments);
        this.#toBottom();
        this.#render();
    }

    async #abort(runId) {
        try {
            await this.#app.connection.request("chat.abort", { sessionKey: this.#conversation.key, ...(runId && { runId }) });
            this.#said.textContent = "Stopped.";
        } catch (error) {
            toast(error.lost ? "Not connected: the answer goes on at the gateway." : `It was not stopped: ${error.message}`, { bad: true });
        }
    }

    // The question before this answer, asked again.
    #retry(entry) {
        const { messages } = this.#conversation;
        const at = messages.indexOf(entry);
        const question = messages.slice(0, at < 0 ? messages.length : at).findLast(({ role }) => role === "user");
        if (!question) return;
        const parts = Array.isArray(question.message.content) ? question.message.content : [];
        const attachments = parts.filter(({ type, data }) => type === "image" && data).map(({ data, mimeType }, i) => ({ content: data, mimeType, fileName: `image-${i + 1}` }));
        this.#send(textOf(question.message.content), attachments);
    }

    #showDetails(open, keep = true) {
        this.details.element.hidden = !open;
        this.#toggle.setAttribute("aria-expanded", String(open));
        if (keep && WIDE.matches) kept.set("culvert.details", open ? "open" : "closed");
        if (open) this.details.update();
    }

    // ---- drawing ----

    #later() {
        this.#frame ||= requestAnimationFrame(() => (this.#frame = 0, this.#render()));
    }

    #render() {
        const conversation = this.#conversation;
        const row = this.#row();
        const title = titleOf(row, conversation.key);
        if (this.#title.textContent !== title) {
            this.#title.textContent = title;
            this.#shell.title(title);
        }
        this.#state.hidden = !conversation.busy;
        this.#state.textContent = conversation.busy ? "answering" : "";
        this.composer.update();
        if (!this.details.element.hidden) this.details.update();
        const keep = this.#atBottom ? null : this.#anchor();
        this.#renderOlder();
        arrange(this.#log, this.#entries());
        this.#log.setAttribute("aria-busy", String(conversation.busy || conversation.loading));
        if (keep) keep();
        else this.#toBottom();
    }

    #renderOlder() {
        const { hasMore, loading, loaded, messages, total } = this.#conversation;
        const state = loading && loaded ? "loading" : hasMore ? "more" : messages.length && loaded ? "start" : "";
        if (this.#older.dataset.state === state) return;
        this.#older.dataset.state = state;
        replace(this.#older, {
            loading: () => h("span", { class: "calm" }, h("span", { class: "dot busy" }), "Reading …"),
            more: () => h("button", { type: "button", class: "button small plain", on: { click: () => this.#conversation.loadOlder() } }, "Earlier messages"),
            start: () => h("span", { class: "faint" }, `Beginning of the session${total > 1 ? `, ${plural(total, "message")}` : ""}`),
        }[state]?.());
    }

    #entries() {
        const conversation = this.#conversation;
        const list = this.#views.list(conversation);
        if (!list.length) return [this.#empty()];
        const wanted = [];
        let today = null;
        for (const [i, { element, day }] of list.entries()) {
            // By class, not by :nth-last-child and :has, which would look at all of them whenever one is added.
            element.classList.toggle("near", i >= list.length - NEAR_COUNT);
            element.classList.toggle("goes-on", Boolean(list[i + 1]?.element.classList.contains("follows")));
            if (day && day !== today) {
                today = day;
                wanted.push(this.#day(dayName(day)));
            }
            wanted.push(element);
        }
        return wanted;
    }

    #day(name) {
        if (!this.#days.has(name)) this.#days.set(name, h("div", { class: "day", role: "separator", "aria-label": name }, h("span", null, name)));
        return this.#days.get(name);
    }

    #empty() {
        const { loaded, error, loading } = this.#conversation;
        const id = error ? `error ${error.message}` : loaded ? "empty" : "wait";
        if (this.#emptyView?.id === id) return this.#emptyView.element;
        const element = error
            ? h("div", { class: "empty", role: "alert" }, icon("warn"), h("h2", null, "This session cannot be read"), h("p", null, error.message),
                h("button", { type: "button", class: "button", on: { click: () => this.#conversation.load() } }, "Try again"))
            : loaded ? this.#welcome() : h("div", { class: "empty wait" }, h("span", { class: "calm" }, h("span", { class: "dot busy" }), loading ? "Reading …" : "Waiting for the gateway …"));
        this.#emptyView = { id, element };
        return element;
    }

    #emptyView = null;

    #welcome() {
        const examples = ["What can you do here?", "/status", "/help"];
        return h("div", { class: "empty" }, icon("arch"),
            h("h2", null, `Talk to ${this.#agentName()}`),
            h("p", null, "Write below, drop an image, or type / for commands. Everybody who is signed in sees this session."),
            h("div", { class: "buttons" }, examples.map((text) => h("button", { type: "button", class: "button small", on: { click: () => this.composer.set(text) } }, text))));
    }

    // ---- scrolling ----

    // Only a move upwards leaves the bottom: what grows meanwhile does not.
    #scrolled() {
        const { scrollTop, scrollHeight, clientHeight } = this.#scroll;
        if (scrollHeight - scrollTop - clientHeight < NEAR_BOTTOM) this.#atBottom = true;
        else if (scrollTop < this.#top - 1) this.#atBottom = false;
        this.#top = scrollTop;
        this.#latest.hidden = this.#atBottom;
        if (scrollTop < NEAR_TOP && this.#conversation.hasMore) this.#conversation.loadOlder();
    }

    // A long way is jumped: gliding over it would lay out everything between.
    #toBottom(glide = false) {
        const { scrollTop, scrollHeight, clientHeight } = this.#scroll;
        const near = scrollHeight - scrollTop < 4 * clientHeight;
        this.#scroll.scrollTo({ top: scrollHeight, behavior: glide && near ? "smooth" : "instant" });
        this.#atBottom = true;
        this.#latest.hidden = true;
    }

    // What is at the top of the window now shall be there afterwards.
    #anchor() {
        const top = this.#scroll.getBoundingClientRect().top;
        const first = [...this.#log.children].find((element) => element.getBoundingClientRect().bottom > top);
        if (!first) return () => {};
        const before = first.getBoundingClientRect().top;
        return () => {
            if (first.isConnected) this.#scroll.scrollTop += first.getBoundingClientRect().top - before;
        };
    }

    // ---- for those who listen ----

    #sayEnd({ state, text, error }) {
        const plain = withoutMarks(text);
        if (state === "error") this.#said.textContent = `The answer failed: ${error ?? "unknown"}`;
        else if (state === "aborted") this.#said.textContent = "Stopped.";
        else this.#said.textContent = `${this.#agentName()}: ${plain.length > 400 ? `${plain.slice(0, 400)} … the rest is in the conversation` : plain}`;
    }
}

