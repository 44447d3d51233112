// The pages besides the chat. One row each: it is there when the gateway has the method it lives on.
import { Agents } from "./agents.js";
import { Channels } from "./channels.js";
import { Cron } from "./cron.js";
import { Devices } from "./devices.js";
import { Health } from "./health.js";
import { Log } from "./log.js";
import { Nodes } from "./nodes.js";
import { Presence } from "./presence.js";
import { Usage } from "./usage.js";

export const PAGES = [
    { id: "agents", label: "Agents", icon: "agents", needs: "agents.list", view: Agents },
    { id: "channels", label: "Channels", icon: "channels", needs: "channels.status", view: Channels },
    { id: "nodes", label: "Nodes", icon: "nodes", needs: "node.list", view: Nodes },
    { id: "cron", label: "Cron", icon: "cron", needs: "cron.list", view: Cron },
    { id: "usage", label: "Usage", icon: "usage", needs: "usage.cost", view: Usage },
    { id: "devices", label: "Devices", icon: "devices", needs: "device.pair.list", view: Devices },
    { id: "presence", label: "Presence", icon: "presence", needs: "system-presence", view: Presence },
    { id: "health", label: "Health", icon: "health", needs: "health", view: Health },
    { id: "log", label: "Log", icon: "log", needs: "logs.tail", view: Log },
];
