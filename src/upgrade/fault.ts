/** What keeps an upgrade from being made, in words for whoever asked for it. */
export class UpgradeFault extends Error {
  readonly code = "upgrade_refused";
}

export function fault(message: string): UpgradeFault {
  return new UpgradeFault(message);
}
