import { type Cause, causes } from '../../../../src/errors/causes.ts'

/** docs/reference/errors.md, made from the one table of errors. */
export function errorsReference(): string {
  const rows = Object.entries<Cause>(causes).map(
    ([code, { http, sense, nbd, says }]) =>
      `| \`${code}\` | ${http} | ${sense === undefined ? '-' : sense.map(hex).join('/')} | ${nbd ?? '-'} | ${says} |`,
  )
  return `${HEAD}\n${rows.join('\n')}\n`
}

function hex(value: number): string {
  return value.toString(16).padStart(2, '0')
}

const HEAD = `# Errors

Each cause has one code, whatever the protocol. The API answers problem details (RFC 9457) with it as \`code\`, and a
\`detail\` that names the thing at fault; the commands print that sentence and exit with 1. Initiators get the SCSI sense
(key/additional code/qualifier), NBD clients the error number; a reservation conflict is a SCSI status, not sense.

| code | HTTP | sense | NBD | means |
|---|---|---|---|---|`
