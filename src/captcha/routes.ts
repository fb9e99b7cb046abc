import { ownRoutes } from "../edge/own.ts";
import type { House, Room } from "../house.ts";
import type { CaptchaGate } from "./gate.ts";

/** What tells people from robots, before a mail is asked for. All but this is loaded when it is first needed. */
export function captchaRoom(house: House): Room {
  if (house.options.captcha === "off") return { name: "captcha" };
  let loaded: Promise<CaptchaGate> | undefined;
  const load = () => {
    loaded ??= import("./gate.ts").then(({ createCaptchaGate }) => createCaptchaGate(house));
    return loaded;
  };
  return {
    ...ownRoutes("captcha", [
      { path: "/captcha", handlers: { GET: async (arrival) => (await load()).offer(arrival) } },
    ]),
    beforeAsk: {
      part: async (arrival) => (await load()).part(arrival),
      judge: async (arrival, fields) => (await load()).judge(arrival, fields),
    },
  };
}
