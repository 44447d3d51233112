// The pages besides the chat. One row each: it is there when the gateway has the method it lives on and this browser
// may call it.
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
    { id: "agents", label: "Agents", icon: "agents", needs: "agents.list", scope: "read", view: Agents },
    { id: "channels", label: "Channels", icon: "channels", needs: "channels.status", scope: "read", view: Channels },
    { id: "nodes", label: "Nodes", icon: "nodes", needs: "node.list", scope: "read", view: Nodes },
    { id: "cron", label: "Cron", icon: "cron", needs: "cron.list", scope: "read", view: Cron },
    { id: "usage", label: "Usage", icon: "usage", needs: "usage.cost", scope: "read", view: Usage },
    { id: "devices", label: "Devices", icon: "devices", needs: "device.pair.list", scope: "pairing", view: Devices },
    { id: "presence", label: "Presence", icon: "presence", needs: "system-presence", scope: "read", view: Presence },
    { id: "health", label: "Health", icon: "health", needs: "health", scope: "read", view: Health },
    { id: "log", label: "Log", icon: "log", needs: "logs.tail", scope: "read", view: Log },
];
