// openclaw 2026.9.6 (protocol 4): the commands people type; what it reads fits the published schema.
import { agentAnswers, checkTap, configured, deviceless } from "./kit/commands.mjs";

export default async function (scenario) {
    const gateway = await scenario.gateway();
    const tap = await scenario.tap(gateway);
    const at = { ...gateway, url: tap.url };
    await deviceless(scenario, "v4", at, gateway);
    const home = await configured(scenario, "v4", at);
    if (!gateway.oracle) await agentAnswers(scenario, "v4", home, at, "twelve green bottles");
    const covered = checkTap(scenario, tap);
    scenario.ok(covered.replies.has("connect"), "hello-ok was among the checked frames");
}
