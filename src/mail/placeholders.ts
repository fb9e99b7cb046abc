/** What a template may contain. Anything else in braces, such as the rules of a style sheet, stays as it is. */
export const PLACEHOLDERS = [
  ...(["app", "host", "login_url", "code", "expiry_minutes", "email", "from_ip", "device"] as const),
  // Both of where it was asked for, as older templates have it.
  "requested_from",
] as const;
