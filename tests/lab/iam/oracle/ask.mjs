// Reads a JSON list of cases from stdin and writes the list of verdicts.
import { runSimulation } from "@cloud-copilot/iam-simulate";

const ACCOUNT = "000000000000";
const PRINCIPAL = `arn:aws:iam::${ACCOUNT}:role/task`;

async function verdict({ statements, boundary, action, resource, context }) {
  const named = (name, list) => ({ name, policy: { Version: "2012-10-17", Statement: list } });
  const simulation = {
    identityPolicies: [named("own", statements)],
    serviceControlPolicies: [],
    resourceControlPolicies: [],
    request: {
      action,
      resource: { resource, accountId: ACCOUNT },
      principal: PRINCIPAL,
      contextVariables: context,
    },
  };
  if (boundary) simulation.permissionBoundaryPolicies = [named("edge", boundary)];
  const answer = await runSimulation(simulation, {});
  if (answer.resultType === "error") return `error: ${JSON.stringify(answer.errors)}`;
  return answer.overallResult ?? answer.result?.evaluationResult ?? JSON.stringify(answer).slice(0, 300);
}

let text = "";
for await (const chunk of process.stdin) text += chunk;
const verdicts = [];
for (const each of JSON.parse(text)) verdicts.push(await verdict(each));
process.stdout.write(JSON.stringify(verdicts));
