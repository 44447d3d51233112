// Shortcuts: what they do, where they do not apply, and the dialog that lists them.
import { h } from "../dom.js";
import { isMac } from "../platform.js";
import { showDialog } from "./dialogs.js";

const mod = isMac ? "⌘" : "Ctrl";
const SHORTCUTS = [
    ["Enter", "Send the message"],
    ["Shift Enter", "A new line"],
    ["Esc", "Stop the answer that is being written; close what is open"],
    ["↑", "In an empty box: take up your last message again"],
    ["/", "Write a command"],
    [`${mod} K`, "Search sessions"],
    ["Alt N", "New chat"],
    ["Alt ↑", "Previous session"],
    ["Alt ↓", "Next session"],
    ["?", "This list"],
];

export function bindKeys({ newChat, search, compose, step, escape }) {
    addEventListener("keydown", (event) => {
        if (event.defaultPrevented || document.querySelector("dialog[open], .menu:popover-open")) return;
        const { key, altKey } = event;
        const modified = event.ctrlKey || event.metaKey;
        const typing = event.target.matches?.("input, textarea, select, [contenteditable]");
        const run = (fn) => (event.preventDefault(), fn());
        if (modified && !altKey && key.toLowerCase() === "k") run(search);
        else if (altKey && !modified && event.code === "KeyN") run(newChat);
        else if (altKey && !modified && key === "ArrowUp") run(() => step(-1));
        else if (altKey && !modified && key === "ArrowDown") run(() => step(1));
        else if (key === "Escape") escape();
        else if (typing || modified || altKey) return;
        else if (key === "?") run(showShortcuts);
        else if (key === "/") run(() => compose("/"));
    });
}

export function showShortcuts() {
    return showDialog((dialog, id) => h("div", { class: "inside" },
        h("h2", { id }, "Keyboard shortcuts"),
        h("dl", { class: "shortcuts" }, SHORTCUTS.map(([keys, what]) => h("div", null,
            h("dt", null, keys.split(" ").map((key) => h("kbd", null, key))), h("dd", null, what)))),
        h("div", { class: "buttons" }, h("button", { type: "button", class: "button", autofocus: true, on: { click: () => dialog.close() } }, "Close"))));
}
