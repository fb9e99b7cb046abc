import type { ServerWebSocket } from "bun";
import type { Clock } from "../clock.ts";
import { KIB, MIB } from "../option/values.ts";

/**
 * Which messages go compressed to a browser that has agreed to it (RFC 7692). Compressing holds everybody up, at 20 to 300
 * MB/s: it is done where the line is slower than that, to messages that take some milliseconds, and half of the time at most.
 */

/** Shorter ones hardly become shorter, each being compressed by itself (`perMessageDeflate` in `tunnel.ts`). */
const LEAST = KIB;
const MOST = MIB;
/** Milliseconds that may be spent on it at a stretch, in all connections; half as many as pass are given back. */
const AT_A_STRETCH = 50;

/**
 * Sends a message of so many bytes to the browser.
 * @returns whether it was compressed, if the browser has agreed to that.
 */
export type SendToBrowser = (
  browser: ServerWebSocket<unknown>,
  message: string | Buffer,
  bytes: number,
  slowLine: boolean,
) => boolean;

export function createSendToBrowser(clock: Pick<Clock, "monotonic">): SendToBrowser {
  let left = AT_A_STRETCH;
  let since = clock.monotonic();
  return (browser, message, bytes, slowLine) => {
    if (!slowLine || bytes < LEAST || bytes > MOST) {
      browser.send(message, false);
      return false;
    }
    const begun = clock.monotonic();
    left = Math.min(AT_A_STRETCH, left + (begun - since) / 2);
    since = begun;
    const compress = left > 0;
    browser.send(message, compress);
    if (compress) left -= clock.monotonic() - begun;
    return compress;
  };
}
