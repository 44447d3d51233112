// Where a message is written: grows with it, keeps a draft per session, completes commands, takes pictures by button,
// paste and drop. While an answer is written the button stops it; what is sent then joins it or waits (queue mode).
import { h, icon, iconButton, replace } from "../dom.js";
import { textOf } from "../conversation.js";
import { tab } from "../storage.js";
import { toast } from "../toast.js";
import { openMenu } from "./menu.js";
import { ACCEPTED, Tray } from "./attachments.js";

const DRAFT = "culvert.draft.", DRAFT_MS = 300;
const COMMANDS_SHOWN = 8;
const GROWS_ITSELF = CSS.supports("field-sizing", "content");
const LEVELS = [["off", "No thinking"], ["minimal", "Minimal"], ["low", "Low"], ["medium", "Medium"], ["high", "High"], ["xhigh", "Very high"]];

export class Composer {
    #app;
    #conversation;
    #do;
    #input = h("textarea", { class: "write", rows: 1, "aria-label": "Message", placeholder: "Write a message", enterkeyhint: "send", autocomplete: "off", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": "commands", role: "combobox" });
    #commands = h("ul", { class: "commands", id: "commands", role: "listbox", "aria-label": "Commands", hidden: true });
    #choice = -1;
    #file = h("input", { type: "file", accept: ACCEPTED, multiple: true, class: "unseen", tabindex: -1, "aria-hidden": "true" });
    #send = h("button", { type: "submit", class: "button main square round", "aria-label": "Send", title: "Send (Enter)" }, icon("send"));
    #stop = h("button", { type: "button", class: "button square round stop", "aria-label": "Stop the answer", title: "Stop (Esc)", hidden: true }, icon("stop"));
    #model = h("button", { type: "button", class: "button plain small pick", "aria-haspopup": "menu", "aria-expanded": "false" });
    #think = h("button", { type: "button", class: "button plain small pick", "aria-haspopup": "menu", "aria-expanded": "false" });
    #tray;
    #draftTimer = 0;
    #drag;

    constructor(app, conversation, actions) {
        this.#app = app;
        this.#conversation = conversation;
        this.#do = actions;
        this.#tray = new Tray({ policy: () => app.connection.hello?.policy?.attachments, say: (text) => toast(text, { bad: true }) });
        this.element = h("form", { class: "composer", "aria-label": "Write a message", on: { submit: (event) => (event.preventDefault(), this.#submit()) } },
            this.#commands, this.#tray.element, this.#input,
            h("div", { class: "composer-tools" },
                iconButton("attach", "Attach pictures", () => this.#file.click()), this.#file,
                this.#model, this.#think,
                h("span", { class: "grow" }), this.#stop, this.#send));
        this.#listen();
        this.#input.value = tab.get(DRAFT + conversation.key) ?? "";
        this.#grow();
        this.update();
    }

    get text() {
        return this.#input.value;
    }

    #listen() {
        const input = this.#input;
        input.addEventListener("input", () => (this.#grow(), this.#complete(), this.#keepDraft(), this.update()));
        input.addEventListener("keydown", (event) => this.#key(event));
        input.addEventListener("blur", () => this.#closeCommands());
        input.addEventListener("paste", (event) => {
            const files = [...event.clipboardData.files];
            if (files.length) (event.preventDefault(), this.#attach(files));
        });
        this.#file.addEventListener("change", () => (this.#attach([...this.#file.files]), (this.#file.value = "")));
        this.#stop.addEventListener("click", () => this.#do.stop());
        this.#model.addEventListener("click", () => this.#pickModel());
        this.#think.addEventListener("click", () => this.#pickThinking());
        this.#drag = new AbortController();
        const { signal } = this.#drag;
        let depth = 0;
        const over = (on) => document.body.toggleAttribute("data-drop", on);
        const carries = (event) => event.dataTransfer?.types.includes("Files");
        addEventListener("dragenter", (event) => carries(event) && (event.preventDefault(), depth++, over(true)), { signal });
        addEventListener("dragover", (event) => carries(event) && event.preventDefault(), { signal });
        addEventListener("dragleave", (event) => carries(event) && --depth <= 0 && ((depth = 0), over(false)), { signal });
        addEventListener("drop", (event) => {
            if (!carries(event)) return;
            event.preventDefault();
            depth = 0;
            over(false);
            this.#attach([...event.dataTransfer.files]);
        }, { signal });
    }

    close() {
        this.#drag.abort();
        document.body.removeAttribute("data-drop");
        clearTimeout(this.#draftTimer);
        this.#saveDraft();
    }

    focus() {
        this.#input.focus();
    }

    set(text) {
        this.#input.value = text;
        this.#input.focus();
        this.#input.setSelectionRange(text.length, text.length);
        this.#grow();
        this.#complete();
        this.#saveDraft();
        this.update();
    }

    // What depends on the session and the line.
    update() {
        const { connection, models } = this.#app;
        const { busy, info } = this.#conversation;
        const empty = !this.text.trim() && !this.#tray.items.length;
        const mayWrite = connection.phase !== "open" || connection.may("write");
        this.#stop.hidden = !busy;
        this.#send.disabled = empty || !mayWrite;
        this.#send.hidden = busy && empty;
        const placeholder = !mayWrite ? "This browser may read but not write." : busy ? "Write the next message" : "Write a message";
        if (this.#input.placeholder !== placeholder) this.#input.placeholder = placeholder;
        this.#input.disabled = !mayWrite;
        label(this.#model, info?.model ?? "Model", `Model: ${info ? `${info.modelProvider}/${info.model}` : "unknown"}`, connection.has("sessions.patch") && models.length > 0);
        const thinks = modelOf(this.#app, info)?.reasoning || info?.thinkingLevel && info.thinkingLevel !== "off";
        label(this.#think, `Thinking ${info?.thinkingLevel ?? "off"}`, `Thinking ${info?.thinkingLevel ?? "off"}: how much the model thinks before it answers`, connection.has("sessions.patch") && Boolean(thinks));
    }

    // ---- sending ----

    #submit() {
        const text = this.text.trim();
        const attachments = this.#tray.items;
        if (!text && !attachments.length) return;
        this.#tray.set([]);
        this.#input.value = "";
        this.#grow();
        this.#closeCommands();
        this.#saveDraft();
        this.#do.send(text, attachments);
        this.update();
        this.focus();
    }

    #key(event) {
        if (event.isComposing) return;
        const { key } = event;
        if (!this.#commands.hidden) {
            const options = this.#commands.children.length;
            if (key === "ArrowDown" || key === "ArrowUp") return event.preventDefault(), this.#choose((this.#choice + (key === "ArrowDown" ? 1 : -1) + options) % options);
            if (key === "Tab" || key === "Enter" && this.#choice >= 0 && !this.#isWhole()) return event.preventDefault(), this.#take(Math.max(0, this.#choice));
            if (key === "Escape") return event.preventDefault(), this.#closeCommands();
        }
        if (key === "Enter" && !event.shiftKey && !event.altKey) {
            event.preventDefault();
            this.#submit();
        } else if (key === "ArrowUp" && !this.text) {
            const last = this.#conversation.messages.findLast(({ role }) => role === "user");
            if (last) (event.preventDefault(), this.set(textOf(last.message.content)));
        }
        return undefined;
    }

    async #attach(files) {
        await this.#tray.add(files);
        this.update();
        this.focus();
    }

    // ---- drafts ----

    #keepDraft() {
        clearTimeout(this.#draftTimer);
        this.#draftTimer = setTimeout(() => this.#saveDraft(), DRAFT_MS);
    }

    #saveDraft() {
        const key = DRAFT + this.#conversation.key;
        tab.set(key, this.text || null);
    }

    // Where CSS does not do it.
    #grow() {
        if (GROWS_ITSELF) return;
        this.#input.style.blockSize = "auto";
        this.#input.style.blockSize = `${this.#input.scrollHeight + 2}px`;
    }

    // ---- commands ----

    #complete() {
        const found = /^\/(\S*)$/.exec(this.text);
        const prefix = found?.[1].toLowerCase();
        const fitting = found ? this.#app.commands.filter(({ name, textAliases = [] }) => name.startsWith(prefix) || textAliases.some((alias) => alias.startsWith(`/${prefix}`))).slice(0, COMMANDS_SHOWN) : [];
        if (!fitting.length) {
            this.#closeCommands();
            return;
        }
        replace(this.#commands, fitting.map(({ name, description, acceptsArgs }, at) => h("li", {
            role: "option", id: `command-${at}`, "aria-selected": "false", data: { name, args: acceptsArgs ? "1" : "" },
            on: { pointerdown: (event) => (event.preventDefault(), this.#take(at)) },
        }, h("code", null, `/${name}`), h("span", null, description))));
        this.#commands.hidden = false;
        this.#input.setAttribute("aria-expanded", "true");
        this.#choose(0);
    }

    #isWhole() {
        return this.#commands.children[this.#choice]?.dataset.name === this.text.slice(1);
    }

    #choose(at) {
        this.#choice = at;
        for (const [i, option] of [...this.#commands.children].entries()) option.setAttribute("aria-selected", String(i === at));
        this.#input.setAttribute("aria-activedescendant", `command-${at}`);
    }

    #take(at) {
        const { name, args } = this.#commands.children[at].dataset;
        this.set(`/${name}${args ? " " : ""}`);
        this.#closeCommands();
    }

    #closeCommands() {
        this.#commands.hidden = true;
        this.#choice = -1;
        this.#input.setAttribute("aria-expanded", "false");
        this.#input.removeAttribute("aria-activedescendant");
    }

    // ---- model and thinking ----

    #pickModel() {
        const { info } = this.#conversation;
        const current = info && `${info.modelProvider}/${info.model}`;
        openMenu(this.#model, [
            { label: "As the agent is set", icon: "agents", run: () => this.#patch({ model: null }) },
            null,
            ...this.#app.models.map((model) => ({
                label: model.alias ?? model.name ?? model.id, checked: `${model.provider}/${model.id}` === current, disabled: model.available === false,
                note: model.available === false ? model.unavailableReason ?? "not available" : model.provider,
                run: () => this.#patch({ model: `${model.provider}/${model.id}` }),
            })),
        ]);
    }

    #pickThinking() {
        const { info } = this.#conversation;
        const levels = modelOf(this.#app, info)?.thinkingLevels?.map(({ id, label: text }) => [id, text ?? id]) ?? LEVELS;
        openMenu(this.#think, levels.map(([id, text]) => ({ label: text, checked: id === (info?.thinkingLevel ?? "off"), run: () => this.#patch({ thinkingLevel: id }) })));
    }

    async #patch(change) {
        try {
            await this.#app.connection.request("sessions.patch", { key: this.#conversation.key, ...change });
        } catch (error) {
            toast(error.lost ? "Not connected: nothing was changed." : error.message, { bad: true });
        }
    }
}

function label(button, text, title, shown) {
    button.hidden = !shown;
    if (button.textContent !== text) replace(button, h("span", null, text));
    button.title = title;
    button.setAttribute("aria-label", title);
}

const modelOf = (app, info) => app.models.find(({ id, provider }) => id === info?.model && provider === info?.modelProvider);
