import type { House } from "../house.ts";
import { messageOf } from "../observe/message-of.ts";
import { DAY, HOUR } from "../option/values.ts";
import { KEYS_PATH } from "../pages/paths.ts";
import type { ApiKey } from "./record.ts";

/** What is done about keys by and by: their owners are told a week before one ends, and what ended long ago is forgotten. */
export type Upkeep = {
  /** Never rejects. */
  run(): Promise<void>;
  start(): void;
  stop(): void;
};

const EVERY_MS = HOUR;

export function createUpkeep(
  house: Pick<House, "options" | "apiKeys" | "outbox" | "clock" | "loggers">,
): Upkeep {
  const { apiKeys, outbox, clock } = house;
  const log = house.loggers("keys");
  let timer: ReturnType<typeof setInterval> | undefined;

  async function warn(key: ApiKey): Promise<void> {
    // A service account has no mailbox.
    if (!key.owner.includes("@")) return;
    const content = { ...mailAbout(key, clock.now(), house.options.baseUrl), html: undefined };
    const { owner: to, expiresAt } = key;
    await outbox.queue({ to, expiresAt, cooldownKey: undefined, first: true, content });
  }

  async function run(): Promise<void> {
    try {
      for (const key of await apiKeys.takeEndingSoon()) await warn(key);
      await apiKeys.removeLongEnded();
    } catch (error) {
      log.warn("could not look after API keys, will try again", { reason: messageOf(error) });
    }
  }

  return {
    run,
    start() {
      void run();
      timer ??= setInterval(run, EVERY_MS);
      timer.unref();
    },
    stop() {
      clearInterval(timer);
      timer = undefined;
    },
  };
}

function mailAbout({ id, description, expiresAt }: ApiKey, now: number, baseUrl: string) {
  const name = description === null ? id : `${id} (${description})`;
  const days = Math.max(1, Math.round((expiresAt - now) / DAY));
  const when = `${new Date(expiresAt).toISOString().slice(0, 16).replace("T", " ")} UTC`;
  return {
    subject: "An API key of yours ends soon",
    text: `Hello,

your API key ${name} ends in ${days === 1 ? "a day" : `${days} days`}, at ${when}.
Programs that use it will not get in any more.

Make a new one in its place, and end this one:

${baseUrl}${KEYS_PATH}
`,
  };
}
