import { json } from "../edge/answer.ts";
import { type OwnRoutes, ownRoutes } from "../edge/own.ts";
import type { LimitsOptions } from "./options.ts";

/** `GET /rate_limit_info`: what the limits are, for scripts that pace themselves. */
export function limitRoutes(settings: LimitsOptions): OwnRoutes {
  const info = {
    login_rate_limit: settings.loginRateLimit,
    email_cooldown: Math.ceil(settings.emailCooldown / 1000),
    token_rate_limit: settings.tokenRateLimit,
    enabled: settings.rateLimitEnabled,
  };
  return ownRoutes("limits", [
    { path: "/rate_limit_info", also: ["/rate_limit_info"], handlers: { GET: () => json(info) } },
  ]);
}
