// openclaw 2026.9.6 (protocol 4): the commands people type; what it reads fits the published schema.
import { agentAnswers, checkTap, configured, deviceless } from "./kit/commands.mjs";

export default async function (scenario) {
    const gateway = await scenario.gateway();
    const tap = await scenario.tap(gateway);
    await deviceless(scenario, "v4", { url: tap.url, token: gateway.token }, gateway);
    const home = await configured(scenario, "v4", gateway);
    if (!gateway.oracle) await agentAnswers(scenario, "v4", home, gateway, "twelve green bottles");
    const covered = checkTap(scenario, tap);
    scenario.ok(covered.replies.has("connect"), "hello-ok was among the checked frames");
}
