import type { Words } from "../language.ts";

/** German, with „Sie“. */
export const WORDS: Words = {
  "layout.title": "{title} · {app}",
  "layout.signIn": "Anmelden bei **{app}**",

  "layout.contact": "Sie brauchen Zugang? {contact}",
  "layout.language": "Sprache: {language}",

  "login.title": "Anmelden",
  "login.heading": "Anmelden",
  "login.how":
    "Geben Sie Ihre E-Mail-Adresse ein, und wir schicken Ihnen einen Link, der Sie anmeldet. Ein Passwort gibt es nicht.",
  "login.email": "E-Mail-Adresse",
  "login.example": "sie@example.org",
  "login.send": "Link schicken",
  "login.keep": "In diesem Browser angemeldet bleiben",
  "login.keepHow":
    "An einem Computer, der Ihnen nicht gehört, besser nicht ankreuzen: Dann werden Sie abgemeldet, sobald der Browser geschlossen wird.",
  "login.strayed":
    "Sie haben sich aus einem anderen Netz oder mit einem anderen Browser angemeldet. Melden Sie sich bitte neu an, um weiterzumachen.",
  "login.continue": "Weiter mit dem Code, der an {underWay} ging",
  "login.tooOld": "Ihre Anmeldung liegt zu lange zurück. Melden Sie sich bitte neu an, um weiterzumachen.",

  "login.kept":
    "Was Sie geschrieben haben, bleibt {lifetime} lang aufgehoben. Sobald Sie angemeldet sind, können Sie es abschicken.",
  "login.keptLarge":
    "Was Sie geschrieben haben, ist zu groß, um aufgehoben zu werden. Gehen Sie im Browser dorthin zurück und schicken Sie es ab, sobald Sie angemeldet sind.",
  "login.keptFull":
    "Was Sie geschrieben haben, konnte nicht aufgehoben werden. Gehen Sie im Browser dorthin zurück und schicken Sie es ab, sobald Sie angemeldet sind.",

  "kept.title": "Abschicken, was Sie geschrieben haben?",
  "kept.heading": "Was Sie geschrieben haben",
  "kept.what": "Das wollten Sie gerade an **{target}** schicken, als Ihre Sitzung zu Ende war:",
  "kept.send": "Jetzt abschicken",
  "kept.drop": "Nicht abschicken",
  "kept.dropped":
    "Es stammt von jemandem, der mit einer anderen Adresse angemeldet war. Deshalb wurde es gelöscht und nicht abgeschickt.",
  "kept.goneTitle": "Nichts abzuschicken",
  "kept.gone": "Es wurde schon abgeschickt oder wird nicht mehr aufgehoben.",

  "code.title": "Sehen Sie in Ihrer Mail nach",
  "code.heading": "Sehen Sie in Ihrer Mail nach",
  "code.sent":
    "Falls **{email}** sich anmelden darf, ist ein Link dorthin unterwegs. Öffnen Sie ihn in diesem Browser. Er gilt einmal.",
  "code.sender": "Von",
  "code.subject": "Betreff",
  "code.until": "Gültig bis",
  "code.soon": "Link und Code gelten noch eine Minute.",
  "code.refusing":
    "Mails an **{refusing}** wurden in den letzten 24 Stunden zum Teil abgelehnt. Wenn nichts ankommt, fragen Sie, wer diesen Server betreibt, oder nehmen Sie eine Adresse bei einem anderen Anbieter.",
  "code.mailbox": "Hier verlässt keine Mail den Rechner.",
  "code.openMailbox": "Postfach in einem neuen Tab öffnen",
  "code.label": "Code aus der Mail",
  "code.how": "Wenn Sie die Mail auf einem anderen Gerät lesen, geben Sie stattdessen hier ihren Code ein.",
  "code.submit": "Anmelden",
  "code.nothing": "Nichts angekommen?",
  "code.nothingHow":
    "Es kann eine Minute dauern. Sehen Sie auch im Spam-Ordner nach. Eine Adresse, die sich nicht anmelden darf, bekommt nichts.",
  "code.again": "Noch einmal schicken",
  "code.noMore":
    "Sie wurde dreimal geschickt, öfter geht es nicht. Ab {askAt} können Sie eine neue anfordern.",
  "code.another": "Andere Adresse verwenden",
  "code.onItsWay": "Die Mail ist schon unterwegs.",
  "code.sentAgain": "Noch einmal geschickt. Der Code in der Mail davor gilt nicht mehr, ihr Link schon.",
  "code.tooSoon": "Sie wurde gerade erst geschickt. In {time} geht es noch einmal.",
  "code.wrongTries": {
    one: "Das ist nicht der Code. Noch {count} Versuch.",
    other: "Das ist nicht der Code. Noch {count} Versuche.",
  },
  "code.noCode": "Ein Code hat acht Zeichen. Sehen Sie noch einmal nach; das hier zählt nicht als Versuch.",
  "code.usedUp": "Dieser Code ist verbraucht. Der Link in der Mail gilt noch.",
  "code.sendNew": "Neue Mail schicken",
  "code.wrong":
    "Dieser Code stimmt nicht oder ist abgelaufen. Prüfen Sie ihn oder fordern Sie einen neuen Link an.",
  "code.wrongElsewhere":
    "Dieser Code stimmt nicht oder ist abgelaufen. Prüfen Sie ihn oder fordern Sie einen neuen Link an. Ein Code gilt nur in dem Browser, der ihn angefordert hat.",
  "code.wrongTitle": "Dieser Code gilt nicht",
  "code.nobody": "In diesem Browser wurde keine Mail angefordert.",
  "code.over": "Auf diese Mail wartet nichts mehr.",

  "confirm.title": "Anmeldung bestätigen",
  "confirm.heading": "Anmeldung bestätigen",
  "confirm.whose": "Dieser Link meldet **{email}** an. So wurde er angefordert:",
  "confirm.when": "Wann",
  "confirm.where": "Wo",
  "confirm.somebodyElse":
    "Sie sind hier als **{who}** angemeldet. Das endet, wenn Sie sich mit diesem Link anmelden.",
  "confirm.warning":
    "**Sie haben diesen Link nicht angefordert?** Dann schließen Sie diese Seite. Erst der Knopf meldet jemanden an.",
  "confirm.submit": "Anmelden",
  "confirm.another": "Andere Adresse verwenden",

  "goOn.title": "Angemeldet",
  "goOn.heading": "Sie sind angemeldet",
  "goOn.how": "Diese Seite geht von selbst weiter zu **{host}**.",
  "goOn.button": "Weiter",

  "start.title": "Anwendungen",
  "start.heading": "Anwendungen",
  "start.none": "Für Sie ist keine Anwendung offen. Fragen Sie, wer diesen Server betreibt.",
  "start.who": "Sie sind als **{email}** angemeldet.",
  "start.account": "Ihr Konto",
  "start.signOut": "Abmelden",

  "account.title": "Ihr Konto",
  "account.heading": "Ihr Konto",
  "account.who": "Angemeldet als",
  "account.groups": "Gruppen",
  "account.since": "Seit",
  "account.until": "Bis",
  "account.untilOrIdle": "{until}, ohne Benutzung {idleUntil}",
  "account.applications": "Anwendungen",
  "account.signOut": "Abmelden",
  "account.elsewhereTitle": "Nicht hier",
  "account.elsewhere": "Ihr Konto finden Sie unter {origin}.",
  "account.endedNone": "Es war nichts mehr abzumelden.",
  "account.endedOne": "Dort abgemeldet.",
  "account.endedSeveral": "Überall sonst abgemeldet.",
  "sessions.heading": "Wo Sie angemeldet sind",
  "sessions.this": "Dieser Browser",
  "sessions.since": "angemeldet {since}",
  "sessions.seen": "zuletzt benutzt {seen}",
  "sessions.end": "Abmelden",
  "sessions.endNamed": "{device}, {place} abmelden",
  "sessions.more": { one: "Und noch {count}.", other: "Und noch {count}." },
  "sessions.endOthers": "Überall sonst abmelden",
  "passkeys.heading": "Passkeys",
  "passkeys.what":
    "Das nächste Mal schneller anmelden: Für einen Passkey brauchen Sie nur den Fingerabdruck, das Gesicht oder die PIN, womit Sie Ihr Gerät entsperren, und keine Mail. Per Mail geht es weiterhin.",
  "passkeys.signIn": "Mit einem Passkey anmelden",
  "passkeys.name": "Name des neuen Passkeys",
  "passkeys.add": "Passkey hinzufügen",
  "passkeys.again": "Neu anmelden, um einen Passkey hinzuzufügen",
  "passkeys.unsupported":
    "Dieser Browser kann keine Passkeys anlegen, oder seine Skripte sind ausgeschaltet.",
  "passkeys.there": "Auf diesem Gerät haben Sie schon einen Passkey.",
  "passkeys.failed":
    "Es wurde nichts hinzugefügt: Das Gerät hat nicht weitergemacht, oder Sie haben es abgebrochen.",
  "passkeys.synced": "auf mehreren Geräten",
  "passkeys.single": "auf einem Gerät",
  "passkeys.since": "hinzugefügt {since}",
  "passkeys.used": "zuletzt benutzt {used}",
  "passkeys.unused": "noch nicht benutzt",
  "passkeys.remove": "Entfernen",
  "passkeys.removed":
    "Der Passkey wurde entfernt und meldet niemanden mehr an. Ihr Gerät bietet ihn vielleicht weiterhin an.",
  "passkeys.removeNamed": "{name} entfernen",
  "passkeys.elsewhereTitle": "Nicht hier",
  "passkeys.elsewhere": "Passkeys werden dort hinzugefügt und entfernt, wo man sich anmeldet.",
  "passkeys.oldTitle": "Bitte neu anmelden",
  "passkeys.old": "Einen Passkey kann nur hinzufügen, wer sich in den letzten 15 Minuten angemeldet hat.",
  "passkeys.fullTitle": "Zu viele Passkeys",
  "passkeys.full": "Sie haben zehn Passkeys. Entfernen Sie einen, bevor Sie einen weiteren hinzufügen.",
  "passkeys.notAddedTitle": "Nicht hinzugefügt",
  "passkeys.notAdded":
    "Dieser Passkey kann nicht hinzugefügt werden. Versuchen Sie es noch einmal oder mit einem anderen.",
  "passkeys.none": "Diesen Passkey gibt es nicht.",
  "passkeys.invalidTitle": "Dieser Passkey gilt nicht",
  "passkeys.invalid":
    "Dieser Passkey meldet hier nicht an. Versuchen Sie es noch einmal oder lassen Sie sich einen Link schicken.",

  "keys.title": "API-Schlüssel",
  "keys.heading": "API-Schlüssel",
  "keys.what":
    "Ein Programm, das keine Mail lesen kann, kommt mit einem Schlüssel herein. Er öffnet, was für Sie offen ist, so weit Sie es hier erlauben.",
  "keys.count": { one: "Sie haben {count} Schlüssel.", other: "Sie haben {count} Schlüssel." },
  "keys.manage": "Schlüssel verwalten",
  "keys.none": "Sie haben noch keine Schlüssel.",
  "keys.id": "Kennung",
  "keys.opens": "Öffnet",
  "keys.opensAll": "alles, was für Sie offen ist",
  "keys.opensLimited": "{routes}: {limits}",
  "keys.below": "unter {paths}",
  "keys.at": "bei {paths}",
  "keys.from": "aus {networks}",
  "keys.perMinute": { one: "{count} pro Minute", other: "{count} pro Minute" },
  "keys.made": "Angelegt",
  "keys.used": "Zuletzt benutzt",
  "keys.usedFrom": "{used}, aus {network}",
  "keys.never": "nie",
  "keys.ends": "Endet",
  "keys.status": "Zustand",
  "keys.active": "aktiv",
  "keys.unused": "aktiv, seit 90 Tagen nicht benutzt",
  "keys.disabled": "abgeschaltet",
  "keys.expired": "abgelaufen",
  "keys.rotate": "Neues Geheimnis",
  "keys.overlap": "Das bisherige gilt noch",
  "keys.overlapNone": "gar nicht",
  "keys.overlapHour": "eine Stunde",
  "keys.overlapDay": "einen Tag",
  "keys.overlapWeek": "eine Woche",
  "keys.rotateSubmit": "Neues Geheimnis geben",
  "keys.disable": "Abschalten",
  "keys.enable": "Einschalten",
  "keys.end": "Beenden",
  "keys.endHow": "Programme, die ihn benutzen, werden sofort und für immer abgewiesen.",
  "keys.endSubmit": "Diesen Schlüssel beenden",
  "keys.new": "Schlüssel anlegen",
  "keys.recent":
    "Das geht nur, wenn Sie sich in den letzten 15 Minuten angemeldet haben. Für ein neues Geheimnis gilt das auch.",
  "keys.again": "Neu anmelden",
  "keys.description": "Wofür er ist",
  "keys.descriptionExample": "nächtliche Sicherung",
  "keys.life": "Wie lange er gilt",
  "keys.lifeWeek": "eine Woche",
  "keys.lifeMonth": "30 Tage",
  "keys.lifeQuarter": "90 Tage",
  "keys.lifeYear": "ein Jahr",
  "keys.routes": "Was er öffnet",
  "keys.limits": "Einschränkungen",
  "keys.methods": "Methoden",
  "keys.paths": "Pfade",
  "keys.pathsHow": "Mit /* am Ende für alles, was darunter liegt.",
  "keys.networks": "Netze, aus denen er kommen darf",
  "keys.rate": "Anfragen pro Minute",
  "keys.create": "Schlüssel anlegen",
  "keys.noRoutes": "Für Sie ist keine Anwendung offen, die Schlüssel annimmt.",
  "keys.doneDisabled": "Der Schlüssel „{name}“ ist abgeschaltet.",
  "keys.doneEnabled": "Der Schlüssel „{name}“ ist eingeschaltet.",
  "keys.doneEnded": "Der Schlüssel „{name}“ ist beendet.",
  "keys.gone": "Diesen Schlüssel gibt es nicht mehr.",

  "keyMade.title": "Ihr Schlüssel",
  "keyMade.rotated": "Das neue Geheimnis",
  "keyMade.warning":
    "**Kopieren Sie ihn jetzt.** Er wird nur dieses eine Mal gezeigt und nirgends aufgehoben. Wer ihn hat, kommt an Ihrer Stelle herein.",
  "keyMade.key": "Schlüssel",
  "keyMade.copyKey": "Schlüssel kopieren",
  "keyMade.try": "Ausprobieren",
  "keyMade.copyCommand": "Befehl kopieren",
  "keyMade.copied": "Kopiert",
  "keyMade.how":
    "Wo ein Programm nur Benutzer und Passwort kennt, ist der Schlüssel das Passwort. Wo die Anwendung den Header Authorization selbst braucht, schicken Sie den Schlüssel als X-Runegate-Key.",
  "keyMade.former": "Das bisherige Geheimnis gilt noch bis {until}.",
  "keyMade.done": "Fertig",

  "keyRefused.tooMany": "Es gibt schon {count} Schlüssel. Beenden Sie zuerst einen.",
  "keyRefused.tooManyTitle": "Zu viele Schlüssel",
  "keyRefused.ended": "Der Schlüssel ist beendet. Legen Sie einen neuen an.",
  "keyRefused.admins": "Dazu braucht es jemanden mit Verwaltungsrechten.",
  "keyRefused.allRoutes": "Alle Anwendungen (*): Dazu braucht es jemanden mit Verwaltungsrechten.",
  "keyRefused.route":
    "{route} nimmt keine Schlüssel an oder ist für die Person nicht offen, der der Schlüssel gehört.",
  "keyRefused.noRoutes":
    "Für die Person, der der Schlüssel gehört, ist keine Anwendung offen, die Schlüssel annimmt.",
  "keyRefused.noneChosen": "Wählen Sie mindestens eine Anwendung.",
  "keyRefused.hasEnd": "Hier braucht jeder Schlüssel ein Ende (RUNEGATE_API_KEY_MAX_TTL).",
  "keyRefused.noEnd": "Ein Schlüssel ohne Ende: Dazu braucht es jemanden mit Verwaltungsrechten.",
  "keyRefused.laterEnd": "Ein späteres Ende: Dazu braucht es jemanden mit Verwaltungsrechten.",
  "keyRefused.past": "Ein Schlüssel endet in der Zukunft.",
  "keyRefused.tooLong": "Das ist länger, als ein Schlüssel hier gelten darf.",
  "keyRefused.overlap": "Das bisherige Geheimnis gilt höchstens 30 Tage weiter.",
  "keyRefused.owner": "Hier gibt es niemanden mit diesem Namen.",
  "keyRefused.description": "Die Beschreibung ist länger als 256 Zeichen.",
  "keyRefused.many": "{limit}: höchstens {most}.",
  "keyRefused.method": "{method} ist keine Methode. Schreiben Sie Großbuchstaben, zum Beispiel GET.",
  "keyRefused.path": "{path} ist kein Pfad. Schreiben Sie /x, oder /x/* für alles, was darunter liegt.",
  "keyRefused.network": "{network} ist kein Netz. Schreiben Sie zum Beispiel 10.0.0.0/8.",
  "keyRefused.rate": "Anfragen pro Minute: eine ganze Zahl von 1 bis {most}.",

  "invalidKey.title": "Dieser Schlüssel gilt nicht",
  "invalidKey.message": "Der API-Schlüssel stimmt nicht, ist beendet, oder keiner öffnet das hier.",
  "severalKeys.message": "Es wurde mehr als ein API-Schlüssel geschickt. Schicken Sie einen.",
  "keyScope.message":
    "Für diese Anwendung, Methode, diesen Pfad oder dieses Netz gilt der API-Schlüssel nicht.",

  "oidc.signIn": "Weiter mit {provider}",
  "oidc.failedTitle": "Sie wurden nicht angemeldet",
  "oidc.away":
    "{provider} antwortet im Moment nicht. Versuchen Sie es später noch einmal oder lassen Sie sich einen Link schicken.",
  "oidc.refused":
    "{provider} hat Sie nicht angemeldet, oder Sie haben es abgebrochen. Sie können sich auch einen Link schicken lassen.",
  "oidc.notGood":
    "Was {provider} geantwortet hat, gilt hier nicht. Versuchen Sie es noch einmal oder lassen Sie sich einen Link schicken.",
  "oidc.notAgain":
    "Sie müssen sich neu anmelden, und {provider} sagt nicht, dass Sie das getan haben. Lassen Sie sich stattdessen einen Link schicken.",
  "oidc.noAddress":
    "{provider} sagt nicht, dass Ihre E-Mail-Adresse Ihnen gehört. Bestätigen Sie sie dort oder lassen Sie sich einen Link schicken.",
  "oidc.notAllowedTitle": "Diese Adresse darf sich nicht anmelden",
  "oidc.notAllowed": "Sie sind dort angemeldet, aber Ihre Adresse darf sich hier nicht anmelden.",
  "oidc.oldTitle": "Diese Anmeldung ist vorbei",
  "oidc.old":
    "Sie wurde in einem anderen Browser oder Tab begonnen, ist zu alt oder wurde schon benutzt. Fangen Sie neu an.",

  "devices.heading": "Browser, mit denen Sie sich angemeldet haben",
  "devices.how": "Meldet sich jemand in Ihrem Namen mit einem anderen an, bekommen Sie eine Mail.",
  "devices.this": "Dieser Browser",
  "devices.seen": "zuletzt angemeldet {seen}",
  "devices.forget": "Vergessen",
  "devices.forgetNamed": "{device} vergessen",
  "devices.forgotten": "Vergessen. Die nächste Anmeldung damit zählt als die mit einem neuen Browser.",

  "notMe.title": "Waren Sie das?",
  "notMe.heading": "Waren Sie das?",
  "notMe.how":
    "Jemand hat sich als **{email}** angemeldet. Falls Sie das nicht waren, beenden Sie alle Anmeldungen dieser Adresse. Danach kann sich eine Stunde lang niemand damit anmelden.",
  "notMe.submit": "Das war ich nicht: alle Anmeldungen beenden",
  "notMe.leave": "Falls Sie es waren, schließen Sie diese Seite. Es wurde nichts geändert.",
  "notMe.doneTitle": "Alle Anmeldungen sind beendet",
  "notMe.done":
    "Niemand ist mehr als **{email}** angemeldet, und eine Stunde lang kann sich niemand anmelden.",
  "notMe.mailbox":
    "Wer sich angemeldet hat, konnte Ihre Mail oder den Link darin lesen. Ändern Sie das Passwort Ihres Postfachs, bevor die Stunde vorbei ist, und sagen Sie dem Betreiber dieses Servers Bescheid.",
  "notMe.usedTitle": "Das ist schon geschehen",
  "notMe.used": "Mit diesem Link wurden schon einmal alle Anmeldungen der Adresse beendet.",

  "hold.title": "Mit dieser Adresse kann sich im Moment niemand anmelden",
  "hold.message":
    "Wer ihre Mail liest, hat eine fremde Anmeldung gemeldet und alle beendet. Kommen Sie in {time} wieder.",

  "logout.title": "Abmelden",
  "logout.heading": "Abmelden?",
  "logout.who": "Sie sind als **{email}** angemeldet.",
  "logout.submit": "Abmelden",
  "logout.nobody": "Sie sind nicht angemeldet",
  "logout.nothing": "In diesem Browser gibt es nichts abzumelden.",
  "logout.signIn": "Anmelden",
  "logout.account": "Ihr Konto und andere Anmeldungen",
  "loggedOut.title": "Abgemeldet",
  "loggedOut.heading": "Sie sind abgemeldet",
  "loggedOut.how": "Die Sitzung in diesem Browser ist beendet.",
  "loggedOut.again": "Neu anmelden",

  "api.title": "Verwaltungs-API",

  "mailbox.title": "Postfach",
  "mailbox.heading": "Postfach",
  "mailbox.warning":
    "**Nur zum Entwickeln.** Keine Mail verlässt diesen Rechner: Sie landet hier, wo alle sie lesen können, die diese Seite öffnen können.",
  "mailbox.order": "Neueste zuerst.",
  "mailbox.empty": "Noch keine Mail.",
  "mailbox.ask": "Fordern Sie einen Link an, dann erscheint er hier",
  "mailbox.look": "Nach neuer Mail sehen",
  "mailbox.looks": "Diese Seite sieht von selbst nach neuer Mail.",
  "mailbox.stop": "Damit aufhören",
  "mailbox.to": "An **{to}**",
  "mailbox.open": "Link öffnen",
  "mailbox.code": "Zeichen zum Abtippen",
  "mailbox.frame": "Die Mail an {to}",
  "mailbox.plain": "Reiner Text",

  "error.byItself": "Diese Seite tut das alle {seconds} Sekunden von selbst.",
  "error.quote": "Wenn Sie um Hilfe bitten, nennen Sie Fehler {status} und diese Anfrage:",
  "error.tryAgain": "Noch einmal versuchen",
  "error.signIn": "Anmelden",
  "error.signOut": "Abmelden",
  "error.start": "Zur Startseite",
  "error.newLink": "Neuen Link anfordern",
  "error.open": "Zeigen, was für Sie offen ist",

  "mail.subject": "{code} ist Ihr Code für {app}",
  "mail.title": "Anmelden bei {app}",
  "mail.heading": "Anmelden bei **{app}**",
  "mail.link": "Dieser Link meldet Sie als {email} an:",
  "mail.buttonHow": "Dieser Knopf meldet Sie als **{email}** an.",
  "mail.button": "Anmelden",
  "mail.code":
    "Sie lesen das auf einem anderen Gerät? Geben Sie diesen Code auf der Seite ein, auf der Sie den Link angefordert haben:",
  "mail.once": "Link und Code gelten einmal, für {lifetime}.",
  "mail.from":
    "Angefordert wurden sie von hier: {requestedFrom}. Falls Sie das nicht waren, lassen Sie diese Mail liegen: Ohne den Link oder den Code kommt niemand herein, geben Sie also keinen von beiden weiter.",
  "mail.copy": "Wenn der Knopf nicht geht, kopieren Sie diese Adresse in Ihren Browser:",

  "notice.when": "Wann: {when}",
  "notice.where": "Wo: {where}",
  "newDevice.subject": "Neue Anmeldung bei {app}",
  "newDevice.heading": "Neue Anmeldung",
  "newDevice.opening":
    "Jemand hat sich als {email} mit einem Browser angemeldet, der das noch nie getan hatte:",
  "newDevice.closing":
    "Falls Sie das waren, ist nichts zu tun. Falls nicht, öffnen Sie diese Seite. Dort können Sie alle Anmeldungen dieser Adresse beenden:",
  "newDevice.button": "Das war ich nicht",

  "newPasskey.subject": "Neuer Passkey für {app}",
  "newPasskey.heading": "Neuer Passkey",
  "newPasskey.opening": "Es wurde ein Passkey hinzugefügt, der als {email} anmeldet:",
  "newPasskey.closing":
    "Falls Sie das waren, ist nichts zu tun. Falls nicht, entfernen Sie ihn auf der Seite Ihres Kontos und melden Sie sich dort überall sonst ab:",
  "newPasskey.button": "Ihr Konto",
  "ended.subject": "Eine Anmeldung bei {app} wurde beendet",
  "ended.heading": "Eine Anmeldung wurde beendet",
  "ended.opening":
    "Eine Anmeldung von {email} wurde innerhalb einer Stunde dreimal aus einem anderen Netz oder Browser benutzt als dem, in dem sie begann, zuletzt:",
  "ended.closing":
    "Sie wurde beendet. Falls Sie das waren, melden Sie sich dort neu an, wo Sie jetzt sind. Falls nicht, hat jemand sie an sich gebracht: Sagen Sie dem Betreiber des Servers Bescheid.",

  "keyEnds.subject": "Einer Ihrer API-Schlüssel läuft bald ab",
  "keyEnds.heading": "Ein API-Schlüssel läuft bald ab",
  "keyEnds.opening":
    "Ihr API-Schlüssel {name} läuft bald ab. Programme, die ihn benutzen, kommen dann nicht mehr herein.",
  "keyEnds.closing": "Legen Sie einen neuen an und beenden Sie diesen:",
  "keyEnds.button": "Ihre Schlüssel",

  "device.both": "{browser} auf {system}",
  "device.otherBrowser": "ein anderer Browser",
  "device.program": "ein namenloses Programm",
  "device.operator": "der Betreiber dieses Servers",

  "limit.title": "Bitte warten",
  "limit.address":
    "Für diese Adresse wurde vor Kurzem schon ein Link angefordert. Versuchen Sie es in {time} noch einmal.",
  "limit.client": "Zu viele Anfragen. Versuchen Sie es in {time} noch einmal.",
  "limit.busy": "Im Moment fordern zu viele einen Link an. Versuchen Sie es in {time} noch einmal.",

  "address.empty": "Geben Sie eine E-Mail-Adresse ein.",
  "address.too_long": "Diese E-Mail-Adresse ist zu lang.",
  "address.control_character": "Eine E-Mail-Adresse kann keine Steuerzeichen enthalten.",
  "address.not_one_at": "Eine E-Mail-Adresse hat genau ein @.",
  "address.display_name": "Geben Sie nur die Adresse ein, ohne Namen und spitze Klammern.",
  "address.several": "Geben Sie nur eine E-Mail-Adresse ein.",
  "address.quoted": "E-Mail-Adressen mit einem Teil in Anführungszeichen gehen hier nicht.",
  "address.local_part": "Vor dem @ steht ein Zeichen, das nicht erlaubt ist.",
  "address.domain": "Nach dem @ steht keine gültige Domain.",
  "address.mixed_script": "Nach dem @ sind Buchstaben verschiedener Alphabete gemischt.",

  "link.failed": "Dieser Link gilt nicht",
  "link.invalid": "Dieser Anmeldelink ist ungültig oder abgelaufen.",
  "link.usedTitle": "Dieser Link wurde schon benutzt",
  "link.used": "Benutzt wurde er so: {device}, {time}. Jeder Link gilt einmal.",
  "link.usedSometime": "Jeder Link gilt einmal.",
  "link.expiredTitle": "Dieser Link ist abgelaufen",
  "link.expired": "Abgelaufen: {time}.",
  "link.notOurs": "Dieser Link ist nicht von uns",
  "link.notOursHow": "Vielleicht wurde er unterwegs abgeschnitten. Öffnen Sie den ganzen Link aus der Mail.",
  "link.withdrawn": "Dieser Link gilt nicht mehr.",
  "link.somebodyElse": "Sie sind als **{who}** angemeldet. Der Link war für **{email}**.",
  "link.switch": "Zu {email} wechseln",
  "link.sendAnother": "Neuen Link an {email} schicken",
  "link.missingTitle": "Hier fehlt etwas",
  "link.missing":
    "Hier braucht es einen Anmeldelink oder einen Code. Öffnen Sie den ganzen Link aus der Mail.",
  "link.elsewhereTitle": "Anmelden geht woanders",
  "link.elsewhere": "Anmelden kann man sich unter {origin}, und von dort geht es hierher zurück.",

  "request.title": "Diese Anfrage ist nicht zu verstehen",
  "request.compressed": "Ein komprimierter Inhalt wird hier nicht angenommen.",
  "request.late": "Die Anfrage kam nicht rechtzeitig an.",
  "request.brokenOff": "Der Inhalt der Anfrage brach ab.",
  "request.notUtf8": "Der Inhalt der Anfrage ist kein UTF-8.",
  "request.tooLarge": "Der Inhalt der Anfrage ist zu groß.",
  "request.notJson": "Der Inhalt der Anfrage ist kein gültiges JSON.",
  "request.notObject": "Der Inhalt der Anfrage muss ein JSON-Objekt sein.",
  "request.fieldType": "Das Feld „{name}“ muss ein Text sein.",
  "request.fieldTwice": "Das Feld „{name}“ wurde zweimal geschickt.",
  "request.sendForm": "Schicken Sie JSON oder ein URL-kodiertes Formular.",
  "request.sendJson": "Schicken Sie JSON.",
  "request.tooDeep":
    "Der Inhalt der Anfrage ist zu tief verschachtelt oder enthält einen Namen, der vergeben ist.",
  "request.lengths": "Sie nennt ihre Länge mehr als einmal.",
  "request.language": "Diese Sprache gibt es hier nicht.",
  "request.host": "Sie nennt keinen Host oder etwas, das keiner ist.",
  "request.methodTitle": "Hier nicht möglich",
  "request.method": "Unter dieser Adresse geht nur {allowed}.",
  "request.otherSiteTitle": "Von einer fremden Seite geschickt",
  "request.otherSite":
    "Das kam von einer Seite, die das nicht darf. Öffnen Sie die Seite hier und versuchen Sie es noch einmal.",

  "notFound.title": "Nicht gefunden",
  "notFound.message": "Unter dieser Adresse gibt es nichts.",
  "unknownHost.title": "Unter diesem Namen gibt es hier nichts",
  "unknownHost.message": "Prüfen Sie die Adresse. Wenn sie stimmt, ist sie noch nicht eingerichtet.",
  "notSignedIn.title": "Nicht angemeldet",
  "notSignedIn.message": "Sie sind nicht angemeldet.",
  "notSignedIn.ended": "Ihre Sitzung ist zu Ende. Laden Sie diese Seite neu, um sich anzumelden.",
  "notAllowed.title": "Nicht erlaubt",
  "notAllowed.message": "Sie sind angemeldet, aber diese Anwendung ist für Sie nicht offen.",
  "notAllowed.page": "Die Seite, die diese Verbindung geöffnet hat, darf das nicht.",
  "notAllowed.webSocket": "Diese Anwendung nimmt keine WebSockets an.",
  "notAllowed.method": "Diese Anwendung nimmt keine Anfragen dieser Art an.",
  "webSockets.title": "Zu viele Verbindungen",
  "webSockets.message": "In dieser Sitzung sind zu viele WebSockets offen. Schließen Sie ein paar Tabs.",
  "maintenance.title": "Wegen Wartung geschlossen",
  "maintenance.message": "Kommen Sie etwas später wieder.",
  "unavailable.title": "Gerade nicht verfügbar",
  "unavailable.message":
    "Runegate kann im Moment nicht prüfen, wer Sie sind. Versuchen Sie es in einer Minute noch einmal; wenn Ihr Link dann nicht mehr gilt, fordern Sie einen neuen an.",
  "unavailable.full":
    "Dafür ist im Moment kein Platz mehr. Versuchen Sie es in ein paar Minuten noch einmal.",
  "broken.title": "Da ist etwas schiefgegangen",
  "broken.message": "Das ist unser Fehler. Nennen Sie dem Betreiber dieses Servers die Nummer unten.",

  "application.slowTitle": "Die Anwendung braucht zu lange für eine Antwort",
  "application.slow": "Sie ist da, hat aber vielleicht zu viel zu tun. Versuchen Sie es gleich noch einmal.",
  "application.awayTitle": "Die Anwendung antwortet nicht",
  "application.away":
    "Vielleicht startet sie gerade oder ist angehalten. Versuchen Sie es gleich noch einmal.",
  "application.methodPassed": "{method} wird nicht weitergegeben.",
  "application.bodyTitle": "Diese Anfrage kann nicht weitergegeben werden",
  "application.body":
    "Eine {method}-Anfrage mit Inhalt wird nicht weitergegeben. Schicken Sie den Inhalt mit POST.",
  "application.tooLargeTitle": "Zu groß",
  "application.tooLarge": "Was Sie geschickt haben, ist größer, als dieser Server weitergibt.",

  "handOff.title": "Diese Anmeldung lässt sich hier nicht abschließen",
  "handOff.message":
    "Sie wurde in einem anderen Browser oder vor zu langer Zeit begonnen, oder dieser Browser behält keine Cookies. Sie sind hier nicht angemeldet.",
  "handOff.oldTitle": "Diese Anmeldung gilt nicht mehr",
  "handOff.old": "Gehen Sie zu der Seite zurück, zu der Sie wollten, und öffnen Sie sie noch einmal.",
  "handOff.twoTitle": "Zwei Anmeldungen zugleich",
  "handOff.two":
    "Dieser Browser schickt zwei Anmeldungen für diese Seite, von denen nur eine Ihre sein kann. Melden Sie beide ab.",
  "handOff.ownTabTitle": "Öffnen Sie das in einem eigenen Tab",
  "handOff.ownTab": "Diese Adresse ist für Menschen, die einem Link folgen, auf einer eigenen Seite.",

  "oidc.signIn": "Weiter mit {provider}",
  "oidc.failedTitle": "Sie wurden nicht angemeldet",
  "oidc.away":
    "{provider} antwortet gerade nicht. Versuchen Sie es später noch einmal, oder lassen Sie sich einen Link schicken.",
  "oidc.refused":
    "{provider} hat Sie nicht angemeldet, oder Sie wollten es nicht. Sie können sich auch einen Link schicken lassen.",
  "oidc.notGood":
    "Was {provider} geantwortet hat, ist hier nicht gültig. Versuchen Sie es noch einmal, oder lassen Sie sich einen Link schicken.",
  "oidc.notAgain":
    "Sie müssen sich erneut anmelden, und {provider} sagt nicht, dass Sie das getan haben. Lassen Sie sich stattdessen einen Link schicken.",
  "oidc.noAddress":
    "{provider} sagt nicht, dass Ihre E-Mail-Adresse Ihnen gehört. Bestätigen Sie sie dort, oder lassen Sie sich einen Link schicken.",
  "oidc.notAllowedTitle": "Mit dieser Adresse kann man sich nicht anmelden",
  "oidc.notAllowed": "Dort sind Sie angemeldet, aber Ihre Adresse darf sich hier nicht anmelden.",
  "oidc.oldTitle": "Diese Anmeldung gilt nicht mehr",
  "oidc.old":
    "Sie wurde in einem anderen Browser oder Tab begonnen, ist zu alt oder wurde schon verwendet. Beginnen Sie von vorn.",

  "sessions.approved": "von einem anderen Gerät bestätigt",

  "approval.title": "Mit dem Telefon anmelden",
  "approval.image": "QR-Code der Seite für Ihr Telefon",
  "approval.scan":
    "Scannen Sie ihn mit Ihrem Telefon, und melden Sie sich dort an, wenn Sie darum gebeten werden.",
  "approval.type": "Oder öffnen Sie dort **{address}**, und geben Sie diesen Code ein:",
  "approval.pickTitle": "Wählen Sie diese Zahl auf Ihrem Telefon",
  "approval.pick":
    "Jemand hat die Seite für diesen Bildschirm geöffnet, die nach dieser Zahl fragt. Sobald sie gewählt ist, ist dieser Bildschirm angemeldet.",
  "approval.byItself": "Diese Seite geht von selbst weiter.",
  "approval.look": "Nachsehen, ob bestätigt wurde",
  "approval.deniedTitle": "Niemand ist angemeldet",
  "approval.denied": "Das wurde auf dem Telefon abgelehnt, oder dort wurde eine andere Zahl gewählt.",
  "approval.expiredTitle": "Dieser Code ist abgelaufen",
  "approval.expired": "Er wurde nicht rechtzeitig bestätigt.",
  "approval.again": "Neuen Code anzeigen",
  "approval.another": "Auf andere Weise anmelden",

  "approve.title": "Einen anderen Bildschirm anmelden",
  "approve.how": "Geben Sie den Code ein, den der andere Bildschirm zeigt.",
  "approve.code": "Code auf dem anderen Bildschirm",
  "approve.submit": "Weiter",
  "approve.who": "Dieser Bildschirm soll mit Ihrer Adresse **{email}** angemeldet werden:",
  "approve.screen": "Bildschirm",
  "approve.where": "Wo",
  "approve.near": "im selben Netz wie dieses Gerät",
  "approve.far": "in einem anderen Netz als dieses Gerät",
  "approve.when": "Wann",
  "approve.for": "Wofür",
  "approve.warning":
    "**Er steht nicht vor Ihnen, oder jemand hat Sie hierher geschickt?** Dann lehnen Sie ab. Wer an diesem Bildschirm sitzt, ist dann mit Ihrer Adresse angemeldet.",
  "approve.number": "Welche Zahl zeigt dieser Bildschirm?",
  "approve.numberHow": "Sie erscheint dort in wenigen Sekunden.",
  "approve.keep": "Diesen Bildschirm angemeldet lassen",
  "approve.keepHow":
    "An einem Bildschirm, der Ihnen nicht gehört, besser nicht ankreuzen: Dann wird er abgemeldet, sobald dort der Browser geschlossen wird.",
  "approve.deny": "Ablehnen",
  "approve.doneTitle": "Bestätigt",
  "approve.done":
    "Der andere Bildschirm wird angemeldet. Auf der Seite Ihres Kontos können Sie ihn wieder abmelden.",
  "approve.deniedTitle": "Abgelehnt",
  "approve.denied": "Der andere Bildschirm ist nicht angemeldet.",
  "approve.wrongTitle": "Das war nicht die Zahl",
  "approve.wrong":
    "Deshalb wurde abgelehnt, und der andere Bildschirm ist nicht angemeldet. Ist es Ihrer, lassen Sie ihn einen neuen Code anzeigen.",
  "approve.overTitle": "Dieser Code funktioniert nicht",
  "approve.over":
    "Diesen Code gibt es nicht, oder er wurde schon verwendet oder ist abgelaufen. Sehen Sie noch einmal auf den anderen Bildschirm.",
  "approve.oldTitle": "Bitte neu anmelden",
  "approve.old":
    "Um einen anderen Bildschirm anzumelden, müssen Sie sich in diesem Browser in den letzten 15 Minuten angemeldet haben.",

  "link.usedAll": {
    one: "Er galt für {count} Anmeldung, und die ist erfolgt.",
    other: "Er galt für {count} Anmeldungen, und die sind erfolgt.",
  },

  "captcha.missing": "Bestätigen Sie, dass Sie kein Roboter sind, und senden Sie dann noch einmal.",
  "captcha.failed":
    "Es ließ sich nicht bestätigen, dass Sie kein Roboter sind, oder es ist zu lange her. Versuchen Sie es noch einmal.",
  "captcha.unavailable":
    "Der Dienst, der Menschen von Robotern unterscheidet, ist nicht erreichbar. Versuchen Sie es in einigen Minuten noch einmal.",
  "captcha.noScript":
    "Hier unterscheidet ein Dienst Menschen von Robotern, und der braucht JavaScript. Schalten Sie es ein, und laden Sie die Seite neu.",
};
