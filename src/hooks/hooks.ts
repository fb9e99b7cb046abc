import type { Client } from "../edge/client.ts";
import type { Method } from "../identity/principal.ts";
import type { Awaitable } from "../store/records.ts";
import type { Hook, HookEvent } from "./table.ts";

/** What the rest of the house knows of hooks: telling them, and asking them. */
export type Hooks = {
  /**
   * Has it told to whoever listens for it. To be awaited before whoever did it is answered: by then it stands in the store, so that
   * nobody hears of something that no hook will. Never rejects, since what cannot be told keeps nobody from anything: where the store
   * does not answer, or as much waits as may, it is in the audit as `hook_failed`.
   */
  tell(event: HookEvent, about: HookFacts): Promise<void>;
  /**
   * Asks whoever decides on signing in. To be asked once it is known who they are, and before what they came with is spent.
   * @throws {SignInDenied}
   */
  judgeSignIn(about: HookFacts): Promise<Vouched>;
  /**
   * Asks whoever decides on mails, some time after this returns and so behind the answer, which shows nothing of it. Undefined
   * where nobody does. A process that is killed before it has done `then` sends no mail.
   */
  readonly judgeAsking: ((about: HookFacts, then: (isAllowed: boolean) => Promise<void>) => void) | undefined;
  /** All there are, for an operator. @throws {StoreUnavailable} */
  list(): Promise<HookState[]>;
  /** Sends an event of type `test` now. A hook that said 410 is on again once it takes that. @returns undefined where there is none such */
  test(name: string): Promise<TestedHook | undefined>;
  /** How often what came of which hook, since this process began. */
  counts(): readonly HookCount[];
  /** Delivers what is due, and waits for that and for what is decided behind answers. For tests; after `start` it goes by itself. */
  runDue(): Promise<void>;
  start(): void;
  /** Takes up nothing more. @param withinMs what is under way is waited for no longer, nor longer than 7 seconds. */
  stop(withinMs?: number): Promise<void>;
};

export type HookFacts = {
  readonly email?: string | undefined;
  /** Whose it is, where that is no address. */
  readonly service?: string | undefined;
  readonly client?: (Pick<Client, "ip"> & Partial<Pick<Client, "host">>) | undefined;
  /** The id of the request, as in the log. */
  readonly request?: string | undefined;
  /** Where they are going, which says to what application. */
  readonly next?: string | undefined;
  /** The name of that, where it is known. */
  readonly route?: string | undefined;
  readonly method?: Method | undefined;
  /** The store's id of a session, of which only the beginning goes out. */
  readonly login?: string | undefined;
  /** Public id of an API key. */
  readonly key?: string | undefined;
};

/** What hooks have said of a sign-in that they allow. @property added groups. @property maxAge milliseconds until it ends at the latest. */
export type Vouched = { readonly added: ReadonlySet<string>; readonly maxAge: number | undefined };

export type HookState = {
  readonly hook: Hook;
  /** What is not delivered yet. */
  readonly waiting: number;
  /** Since when it is turned off, milliseconds since the Unix epoch. */
  readonly offSince: number | undefined;
};

export type TestedHook = {
  /** Undefined where it gave no answer. */
  readonly status: number | undefined;
  /** The beginning of its answer, or why there is none. */
  readonly text: string;
  readonly milliseconds: number;
};

/**
 * - `delivered`; `retried`, a try that failed and is followed by another; `given_up`; `dropped`, where as much waited as may, or
 *   the store did not answer; `off`, not told because it said 410
 * - `allowed`, `denied`; `failed`, no answer that counts; `skipped`, not asked because it failed so often: of both, `on_error` held
 */
export type HookOutcome =
  | "delivered"
  | "retried"
  | "given_up"
  | "dropped"
  | "off"
  | "allowed"
  | "denied"
  | "failed"
  | "skipped";

export type HookCount = { readonly hook: string; readonly outcome: HookOutcome; readonly count: number };

export type CountHook = (hook: string, outcome: HookOutcome) => void;

export type Turned = {
  /** Since when. @throws {StoreUnavailable} */
  offSince(hook: Hook): Promise<number | undefined>;
  off(hook: Hook): Awaitable<void>;
  on(hook: Hook): Awaitable<void>;
};
