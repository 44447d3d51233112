// Questions, as native dialogs: they keep the focus inside and give it back to where it was.
import { h } from "../dom.js";

let count = 0;

// Shows it; resolves with returnValue when it is closed. What is inside may call dialog.close(value).
export function showDialog(build, { wide = false } = {}) {
    const id = `dialog-${++count}`;
    const dialog = h("dialog", { class: wide ? "wide" : null, "aria-labelledby": id });
    dialog.append(build(dialog, id));
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close(""));
    document.body.append(dialog);
    const back = document.activeElement;
    dialog.showModal();
    return new Promise((done) => dialog.addEventListener("close", () => {
        dialog.remove();
        if (back?.isConnected) back.focus();
        done(dialog.returnValue);
    }));
}

export async function confirm({ title, text, yes, bad = false }) {
    const answer = await showDialog((dialog, id) => h("form", { method: "dialog" },
        h("h2", { id }, title),
        h("p", null, text),
        h("div", { class: "buttons" },
            h("button", { type: "submit", class: "button", value: "" }, "Cancel"),
            h("button", { type: "submit", class: `button main${bad ? " bad" : ""}`, value: "yes" }, yes))));
    return answer === "yes";
}

// The text, or null. `check` returns why a text is not good.
export async function askText({ title, label, value = "", yes, hint, max = 500, required = false }) {
    const input = h("input", { class: "input", id: `ask-${count + 1}`, value, maxlength: max, required, autofocus: true });
    const answer = await showDialog((dialog, id) => h("form", {
        on: { submit: (event) => (event.preventDefault(), dialog.close("yes")) },
    },
        h("h2", { id }, title),
        h("div", { class: "field" }, h("label", { for: input.id }, label), input, hint && h("p", { class: "hint" }, hint)),
        h("div", { class: "buttons" },
            h("button", { type: "button", class: "button", on: { click: () => dialog.close("") } }, "Cancel"),
            h("button", { type: "submit", class: "button main" }, yes))));
    return answer === "yes" ? input.value.trim() : null;
}
