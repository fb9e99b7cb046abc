import deviceSource from "../../static/device.html" with { type: "text" };
import devicesSource from "../../static/devices.html" with { type: "text" };
import notMeSource from "../../static/not-me.html" with { type: "text" };
import doneSource from "../../static/not-me-done.html" with { type: "text" };
import { said } from "../pages/language.ts";
import type { Look } from "../pages/look.ts";
import { documentOf, timeAt } from "../pages/pages.ts";
import { concat, type Html, template } from "../pages/template.ts";
import { describeDevice, recognizeDevice } from "../session/device.ts";
import { shortId } from "../session/record.ts";
import type { Seen } from "../store/records.ts";
import type { DeviceRecord } from "./record.ts";

const notMe = template(notMeSource, ["email", "token"]);
const done = template(doneSource, ["email"]);
const devices = template(devicesSource, ["rows", "mailed"]);
const device = template(deviceSource, ["id", "device", "seen", "isThis"]);

/** Asks whoever follows the link of a mail whether it was not them: following it changes nothing. */
export function notMePage(look: Look, shown: { email: string; token: string }): string {
  return documentOf(look, said("notMe.title"), notMe(look.language, shown));
}

export function notMeDonePage(look: Look, shown: { email: string }): string {
  return documentOf(look, said("notMe.doneTitle"), done(look.language, shown));
}

/** @param own the one that looks. @param mailed whether mail is sent about a new one */
export function devicesPart(
  { language }: Look,
  all: readonly Seen<DeviceRecord>[],
  own: string | undefined,
  mailed: boolean,
): Html {
  const rows = all.map(({ id, record }) =>
    device(language, {
      id: shortId(id),
      device: describeDevice(language, recognizeDevice(record.userAgent)),
      seen: timeAt(language, record.seenAt),
      isThis: record.device === own ? "yes" : undefined,
    }),
  );
  return devices(language, { rows: concat(rows), mailed: mailed ? "yes" : undefined });
}
