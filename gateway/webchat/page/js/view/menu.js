// A menu at a button: arrow keys move, Escape and a click elsewhere close, the focus goes back.
import { h, icon } from "../dom.js";

let open = null;

// items: {label, note, icon, bad, checked, disabled, run} or null for a line.
export function openMenu(anchor, items, { heading } = {}) {
    open?.hidePopover();
    const radio = items.some((item) => item && "checked" in item);
    const menu = h("div", { class: "menu", role: "menu", popover: "auto", "aria-label": anchor.getAttribute("aria-label") ?? anchor.textContent.trim() },
        heading && h("p", { class: "menu-heading" }, heading),
        items.map((item) => item === null ? h("hr") : h("button", {
            type: "button", role: radio && "checked" in item ? "menuitemradio" : "menuitem", tabindex: -1, class: item.bad ? "bad" : null,
            "aria-checked": "checked" in item ? String(Boolean(item.checked)) : null, disabled: Boolean(item.disabled),
            on: { click: () => (menu.hidePopover(), item.run()) },
        }, item.icon && icon(item.icon), h("span", null, item.label, item.note && h("small", null, item.note)))));
    document.body.append(menu);
    menu.addEventListener("keydown", move);
    menu.addEventListener("toggle", ({ newState }) => {
        anchor.setAttribute("aria-expanded", String(newState === "open"));
        if (newState === "open") return;
        if (menu.contains(document.activeElement) || document.activeElement === document.body) anchor.focus();
        menu.remove();
        if (open === menu) open = null;
    });
    open = menu;
    menu.showPopover();
    place(menu, anchor);
    (menu.querySelector("[aria-checked=true]") ?? menu.querySelector("button:not(:disabled)"))?.focus();
}

function place(menu, anchor) {
    const at = anchor.getBoundingClientRect(), { offsetWidth: width, offsetHeight: height } = menu;
    const below = at.bottom + 4 + height <= innerHeight;
    menu.style.left = `${Math.max(8, Math.min(at.left, innerWidth - width - 8))}px`;
    menu.style.top = `${Math.max(8, below ? at.bottom + 4 : at.top - height - 4)}px`;
}

function move(event) {
    const buttons = [...event.currentTarget.querySelectorAll("button:not(:disabled)")];
    const at = buttons.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    buttons.at(to % buttons.length)?.focus();
}
