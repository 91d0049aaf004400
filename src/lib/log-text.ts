const SHOWN_APART = new Set(['level', 'time', 'msg', 'err'])

/** Turns a log line in JSON into one for a person: time of day, level, message, fields. */
export function formatLogLine(json: string): string {
  const line: Record<string, unknown> = JSON.parse(json)
  const error = line.err as { message?: string } | undefined
  const fields = Object.entries(line)
    .filter(([name]) => !SHOWN_APART.has(name))
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
  if (error?.message !== undefined) fields.push(`error="${error.message}"`)
  const time = String(line.time).slice(11, 23)
  return `${[time, String(line.level).toUpperCase().padEnd(5), line.msg, ...fields].join(' ')}\n`
}

/** What pino writes to when a terminal reads the log. */
export class TextLogStream {
  readonly #destination: NodeJS.WritableStream

  constructor(destination: NodeJS.WritableStream) {
    this.#destination = destination
  }

  write(json: string): void {
    this.#destination.write(formatLogLine(json))
  }
}
