// A short word at the top of the page, read out politely; errors stay until they are closed.
import { h } from "./dom.js";

const STAY_MS = 5000;
const host = h("div", { class: "toasts", role: "status", "aria-live": "polite", popover: "manual" });

export function toast(text, { bad = false, action } = {}) {
    if (!host.isConnected) document.body.append(host);
    const close = () => (element.remove(), !host.childElementCount && host.hidePopover?.());
    const element = h("div", { class: `toast${bad ? " bad" : ""}` }, h("span", null, text),
        action && h("button", { type: "button", on: { click: () => (close(), action.run()) } }, action.label),
        (bad || action) && h("button", { type: "button", on: { click: close } }, "Close"));
    host.append(element);
    if (!host.matches(":popover-open")) host.showPopover?.(); // above an open dialog
    if (!bad && !action) setTimeout(close, STAY_MS);
}
