import { createOperator } from "../../src/control/client.ts";
import { serveOperator } from "../../src/control/serve.ts";
import { examineEdge, type Witness } from "../../src/doctor/examination.ts";
import { exchange } from "../../src/doctor/exchange.ts";
import type { Finding } from "../../src/doctor/finding.ts";
import type { TestGateway } from "../support/gateway.ts";

/** What an operator on the machine of a gateway gets to see. */
export function operatorOf({ gateway }: TestGateway): Witness {
  const serve = serveOperator(gateway.answer);
  return createOperator((url, init) => serve(new Request(url, init)));
}

export async function examine(url: string, witness: Witness | undefined): Promise<readonly Finding[]> {
  return examineEdge(new URL(url), witness, exchange, () => {});
}

/** `name: detail` of each that is in the state. */
export function those(findings: readonly Finding[], state: Finding["state"]): string[] {
  return findings.flatMap((one) => (one.state === state ? [`${one.name}: ${one.detail}`] : []));
}
