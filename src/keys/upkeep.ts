import type { House } from "../house.ts";
import type { MailContent } from "../mail/mailer.ts";
import { renderNotice } from "../mail/notice.ts";
import { messageOf } from "../observe/message-of.ts";
import { HOUR } from "../option/values.ts";
import { said } from "../pages/language.ts";
import type { Look } from "../pages/look.ts";
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
  house: Pick<House, "options" | "apiKeys" | "lookTo" | "outbox" | "loggers">,
): Upkeep {
  const { apiKeys, outbox } = house;
  const log = house.loggers("keys");
  let timer: ReturnType<typeof setInterval> | undefined;

  async function warn(key: ApiKey): Promise<void> {
    // A service account has no mailbox.
    if (!key.owner.includes("@")) return;
    const { owner: to, expiresAt } = key;
    const { baseUrl } = house.options;
    const content = keyEndsNotice(await house.lookTo(to), key, baseUrl);
    await outbox.queue({ to, kind: "key-ends", expiresAt, cooldownKey: undefined, first: true, content });
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

export function keyEndsNotice(
  look: Look,
  { id, description, expiresAt }: Pick<ApiKey, "id" | "description" | "expiresAt">,
  baseUrl: string,
): MailContent {
  return renderNotice(look, {
    subject: said("keyEnds.subject"),
    heading: said("keyEnds.heading"),
    opening: said("keyEnds.opening", { name: description === null ? id : `${id} (${description})` }),
    at: expiresAt,
    closing: said("keyEnds.closing"),
    link: { url: baseUrl + KEYS_PATH, label: said("keyEnds.button") },
  });
}
