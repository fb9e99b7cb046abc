import { messageOf } from "../observe/message-of.ts";
import type { BegunProbe } from "./api.ts";
import type { Answer, Exchange } from "./exchange.ts";
import { type Case, type Finding, type Page, wrong } from "./finding.ts";
import { type ArrivedProbe, PROBE_AGENT } from "./probes.ts";
import type { EdgeRequest } from "./request.ts";
import { judgeScheme, PAGE, REQUESTS } from "./requests.ts";

/** The running instance, which says what has arrived. */
export type Witness = {
  beginProbe(): Promise<BegunProbe>;
  arrivedWith(nonce: string): Promise<readonly ArrivedProbe[]>;
};

const NO_NONCE = "0".repeat(32);

/**
 * Looks at a public address as a visitor could, forgeries and all, and at what arrives behind it.
 * @param url of a page that is not open to everybody; its query is left out.
 * @param witness undefined where no instance can be asked: what is seen from outside is all there is then.
 * @param tell called with each finding as it is made.
 * @throws what the witness throws.
 */
export async function examineEdge(
  url: URL,
  witness: Witness | undefined,
  exchange: Exchange,
  tell: (finding: Finding) => void,
): Promise<readonly Finding[]> {
  const { origin, pathname } = url;
  const findings: Finding[] = [];
  function say(finding: Finding): Finding {
    findings.push(finding);
    tell(finding);
    return finding;
  }

  async function ask({ send }: EdgeRequest, page: Page | undefined): Promise<Case> {
    const begun = await witness?.beginProbe();
    const nonce = begun?.nonce ?? NO_NONCE;
    const { lines, ...sent } = send({ origin, path: pathname, nonce });
    const agent = `User-Agent: ${PROBE_AGENT}${nonce}`;
    let answer: Answer | undefined;
    let said: string;
    try {
      answer = await exchange(url, { ...sent, lines: [...lines, agent] });
      said = String(answer.status);
    } catch (error) {
      said = messageOf(error);
    }
    return {
      ...{ origin, nonce, said, page },
      home: begun && new URL(begun.base_url).origin,
      target: sent.target,
      status: answer?.status ?? 0,
      location: answer?.location,
      // nginx may ask twice: first whether, then what to say.
      arrived: witness === undefined ? "unasked" : (await witness.arrivedWith(nonce))[0],
    };
  }

  const first = await ask(PAGE, undefined);
  if (first.status === 0 && (first.arrived === undefined || first.arrived === "unasked")) {
    say({
      name: PAGE.name,
      ...wrong(`no answer: ${first.said}`, "Check the name, the port and the certificate."),
    });
    return findings;
  }
  const { state } = say({ name: PAGE.name, ...PAGE.judge(first) });
  say({ name: "scheme", ...judgeScheme(first) });
  const page = { status: first.status, state, arrived: first.arrived };
  for (const request of REQUESTS) say({ name: request.name, ...request.judge(await ask(request, page)) });
  return findings;
}
