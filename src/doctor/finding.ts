import type { ArrivedProbe } from "./probes.ts";

/** What can be said of one thing that an edge does. */
export type Judgement = {
  readonly state: "ok" | "wrong" | "unknown";
  /** A clause for the operator. */
  readonly detail: string;
  /** A sentence: what to do about what is wrong. */
  readonly remedy?: string;
};

export type Finding = Judgement & { readonly name: string };

/** A request, what came of it, and what it is seen against. */
export type Case = {
  readonly origin: string;
  /** Where people sign in, as far as the running instance says it. */
  readonly home: string | undefined;
  readonly nonce: string;
  /** Path and query, as they were sent. */
  readonly target: string;
  /** 0 where there was no answer. */
  readonly status: number;
  /** The status, or why there is none. */
  readonly said: string;
  readonly location: string | undefined;
  /** What arrived at the running instance; `"unasked"` where none is there to ask. */
  readonly arrived: ArrivedProbe | undefined | "unasked";
  /** The plain request for a page, which comes first, and what was made of it. */
  readonly page: Page | undefined;
};

export type Page = {
  readonly status: number;
  readonly state: Judgement["state"];
  readonly arrived: Case["arrived"];
};

export const ok = (detail: string): Judgement => ({ state: "ok", detail });
export const unknown = (detail: string): Judgement => ({ state: "unknown", detail });
export const wrong = (detail: string, remedy: string): Judgement => ({ state: "wrong", detail, remedy });

export const PROTECT =
  "Have the edge ask Runegate for every path of the application (nginx: auth_request), or pass all to it.";

/** What follows from nothing having arrived, and nothing else; or what has arrived. */
export function arrivalOf({ arrived, page, status, said }: Case): ArrivedProbe | Judgement {
  if (arrived === "unasked") return unknown("only a running instance that can be asked could say");
  if (arrived !== undefined) return arrived;
  if (page !== undefined && page.arrived === undefined) return unknown("nothing arrives at Runegate");
  if (isSuccess(status)) return wrong(`${said}, and Runegate was not asked`, PROTECT);
  return ok(`the edge does not pass it on: ${said}`);
}

export function isJudgement(one: ArrivedProbe | Judgement): one is Judgement {
  return "state" in one;
}

/** A switch of protocols too: there is no asking after that. */
export function isSuccess(status: number): boolean {
  return status === 101 || (status >= 200 && status < 300);
}

/** Whether there is a proxy in between, as far as can be seen. Without one, a trusted machine may say what it likes. */
export function seesEdge({ edge, hops, certain }: ArrivedProbe): boolean {
  return edge !== null || hops > 1 || !certain;
}

/** What arrived of the plain request for a page. */
export function plainOf({ page }: Case): ArrivedProbe | undefined {
  return page === undefined || page.arrived === "unasked" ? undefined : page.arrived;
}
