// Elements without a framework: h("button", {class: "button", on: {click}}, "Send"). Text is always text: nothing
// here, and nothing outside markdown.js, turns a string into markup (the policy's Trusted Types hold that).
const PROPERTIES = new Set(["value", "checked", "disabled", "selected", "hidden", "open", "indeterminate", "multiple", "readOnly", "required", "autofocus"]);

export function h(tag, props, ...children) {
    const element = document.createElement(tag);
    if (props) set(element, props);
    append(element, children);
    return element;
}

export function set(element, props) {
    for (const [name, value] of Object.entries(props)) {
        if (name === "on") for (const [event, fn] of Object.entries(value)) element.addEventListener(event, fn);
        else if (name === "data") Object.assign(element.dataset, value);
        else if (PROPERTIES.has(name)) element[name] = value;
        else if (value === null || value === undefined || value === false) element.removeAttribute(name);
        else element.setAttribute(name, value === true ? "" : String(value));
    }
    return element;
}

export function append(element, children) {
    for (const child of children.flat(Infinity)) {
        if (child === null || child === undefined || child === false) continue;
        element.append(child instanceof Node ? child : String(child));
    }
    return element;
}

export function replace(element, ...children) {
    element.replaceChildren();
    return append(element, children);
}

// Makes the children of `parent` be `wanted`, in that order, moving and removing as few as possible.
export function arrange(parent, wanted) {
    let at = parent.firstChild;
    for (const element of wanted) {
        if (element === at) at = at.nextSibling;
        else parent.insertBefore(element, at);
    }
    while (at) {
        const next = at.nextSibling;
        at.remove();
        at = next;
    }
}

// 24 by 24, drawn with a stroke.
const ICONS = {
    arch: "M4 20v-7a8 8 0 0 1 16 0v7M8 15q2-2 4 0t4 0M8 19q2-2 4 0t4 0",
    chat: "M5 5h14a2 2 0 0 1 2 2v8a2 2 0 0 1-2 2h-8l-5 4v-4H5a2 2 0 0 1-2-2V7a2 2 0 0 1 2-2z",
    agents: "M12 3v3M7 6h10a3 3 0 0 1 3 3v7a3 3 0 0 1-3 3H7a3 3 0 0 1-3-3V9a3 3 0 0 1 3-3zM9 12h.01M15 12h.01M9.5 15.5h5",
    devices: "M4 5h11a1 1 0 0 1 1 1v9H3V6a1 1 0 0 1 1-1zM2 18h10M16 10h4a1 1 0 0 1 1 1v8a1 1 0 0 1-1 1h-4a1 1 0 0 1-1-1v-8a1 1 0 0 1 1-1zM18 17h.01",
    presence: "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM3 20a6 6 0 0 1 12 0M16 4.5a3.5 3.5 0 0 1 0 6.3M18 14.6a6 6 0 0 1 3 5.4",
    channels: "M4 12a8 8 0 0 1 16 0M7 12a5 5 0 0 1 10 0M12 12v8M9 20h6",
    nodes: "M12 4v5M5 20v-4a2 2 0 0 1 2-2h10a2 2 0 0 1 2 2v4M12 9v5M10 2h4v4h-4zM3 18h4v4H3zM17 18h4v4h-4z",
    cron: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 7v5l3.5 2",
    log: "M5 4h14v16H5zM8.5 8.5h7M8.5 12h7M8.5 15.5h4",
    health: "M3 12h4l2.5-6 4 12 2.5-6h5",
    usage: "M4 20V10M10 20V4M16 20v-8M21 20H3",
    plus: "M12 5v14M5 12h14",
    search: "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM20 20l-4-4",
    menu: "M4 6h16M4 12h16M4 18h16",
    more: "M4.5 12a.7.7 0 1 0 1.4 0 .7.7 0 1 0-1.4 0zM11.3 12a.7.7 0 1 0 1.4 0 .7.7 0 1 0-1.4 0zM18.1 12a.7.7 0 1 0 1.4 0 .7.7 0 1 0-1.4 0z",
    close: "M6 6l12 12M18 6L6 18",
    send: "M12 19V5M6 11l6-6 6 6",
    stop: "M7 7h10v10H7z",
    attach: "M20 11.5l-7.8 7.8a5 5 0 0 1-7-7L13 4.5a3.3 3.3 0 0 1 4.7 4.7l-7.8 7.8a1.7 1.7 0 0 1-2.4-2.4l7.2-7.1",
    copy: "M9 9h10v11H9zM5 15V4h10",
    check: "M5 12.5l4.5 4.5L19 7.5",
    warn: "M12 4l9 16H3zM12 10v4M12 17h.01",
    retry: "M4 12a8 8 0 0 1 14-5.3L20 9M20 4v5h-5M20 12a8 8 0 0 1-14 5.3L4 15M4 20v-5h5",
    edit: "M4 20h4L19 9l-4-4L4 16z",
    trash: "M5 7h14M10 4h4M7 7l1 13h8l1-13M10 11v5M14 11v5",
    archive: "M4 5h16v4H4zM5 9v10h14V9M10 13h4",
    down: "M12 5v14M6 13l6 6 6-6",
    chevron: "M9 6l6 6-6 6",
    tool: "M14.5 6a4 4 0 0 1 5-1l-3 3 .5 2 2 .5 3-3a4 4 0 0 1-5.5 5L9 20a2.1 2.1 0 0 1-3-3l7.5-7.500a4 4 0 0 1 1-3.500z",
    think: "M9 18h6M10 21h4M8.5 15a6 6 0 1 1 7 0v1h-7z",
    file: "M6 3h8l4 4v14H6zM14 3v4h4",
    panel: "M4 5h16v14H4zM15 5v14",
    sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.5 1.500M17.5 17.500L19 19M5 19l1.5-1.500M17.5 6.500L19 5",
    moon: "M20 14a8 8 0 1 1-9.5-10A6.5 6.5 0 0 0 20 14z",
    system: "M4 5h16v11H4zM9 20h6M12 16v4",
    help: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM9.5 9.500a2.5 2.5 0 1 1 3.5 2.300c-.7.4-1 .9-1 1.700M12 17h.01",
    leave: "M14 4h5v16h-5M10 8l-4 4 4 4M6 12h9",
    shield: "M12 3l8 3v6c0 4.5-3.3 8-8 9-4.7-1-8-4.5-8-9V6z",
    key: "M8 20a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM11 13l8-8M16 8l2.5 2.5",
    offline: "M3 3l18 18M5 12.500a10 10 0 0 1 4-2.400M2 9a15 15 0 0 1 4-2.600M19 12.500a10 10 0 0 0-5-2.800M22 9A15 15 0 0 0 11 5M8.5 16a5 5 0 0 1 7 0M12 19.500h.01",
    compact: "M8 3v5H3M16 3v5h5M8 21v-5H3M16 21v-5h5",
};

export function icon(name) {
    const space = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(space, "svg");
    svg.setAttribute("class", "icon");
    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("aria-hidden", "true");
    const path = document.createElementNS(space, "path");
    path.setAttribute("d", ICONS[name] ?? ICONS.file);
    svg.append(path);
    return svg;
}

export function iconButton(name, label, onClick, { kind = "plain", small = false, ...props } = {}) {
    return h("button", {
        type: "button", class: `button square ${kind}${small ? " small" : ""}`, "aria-label": label, title: label,
        on: { click: onClick }, ...props,
    }, icon(name));
}
