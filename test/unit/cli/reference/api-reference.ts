import pino from 'pino'
import { createApi } from '../../../../src/api/api-server.ts'
import { FakeDaemon } from '../../api/fake-daemon.ts'

interface Operation {
  readonly summary: string
  readonly tags: readonly string[]
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema?: Schema }>> }
  readonly parameters?: readonly { readonly name: string; readonly in: string }[]
}
interface Schema {
  readonly properties?: Readonly<Record<string, unknown>>
  readonly required?: readonly string[]
  readonly anyOf?: readonly Schema[]
}

/** docs/reference/api.md: the list of paths is made from the OpenAPI document. */
export async function apiReference(): Promise<string> {
  const log = pino({ enabled: false })
  await using daemon = {
    api: await createApi({ backend: new FakeDaemon(), log, version: '0', token: null, tls: null }),
    async [Symbol.asyncDispose]() {
      await this.api.close()
    },
  }
  const { paths } = (await daemon.api.inject('/openapi.json')).json()
  const rows = Object.entries<Record<string, Operation>>(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) => row(method, path, operation)),
  )
  return `${HEAD}\n${rows.join('\n')}\n${TAIL}`
}

function row(method: string, path: string, operation: Operation): string {
  const query = (operation.parameters ?? [])
    .filter(parameter => parameter.in === 'query')
    .map(({ name }) => name)
  const body = bodyOf(operation)
  const takes = [query.length === 0 ? '' : `?${query.join('&')}`, body].filter(text => text !== '').join(' ')
  return `| \`${method.toUpperCase()} ${path}\` | ${takes || '-'} | ${operation.summary} |`
}

function bodyOf({ requestBody }: Operation): string {
  const schema = requestBody?.content['application/json']?.schema
  const object = schema?.anyOf?.find(({ properties }) => properties !== undefined) ?? schema
  if (object?.properties === undefined) return ''
  const names = Object.keys(object.properties).map(name =>
    object.required?.includes(name) ? name : `${name}?`,
  )
  return `{${names.join(', ')}}`
}

const HEAD = `# REST API

Base path \`/v1\`, JSON, by default at \`http://127.0.0.1:9280\`. \`GET /openapi.json\` is the full description with every field,
\`/docs\` a page to try it, without anything from elsewhere. \`GET /healthz\` (the process answers), \`GET /readyz\` (portals are
open and the brick serves) and \`GET /metrics\` ([metrics.md](metrics.md)) lie outside the base path.

- On loopback nothing is asked for. On any other address the daemon refuses to start without \`api.tls\` (HTTPS) and a
  token; with a token every request but \`/healthz\`, \`/readyz\`, \`/docs\` and \`/openapi.json\` carries \`Authorization: Bearer TOKEN\`.
- Requests that a web page of another site makes are refused, and so, without a token, are other host names than loopback's.
- Errors are problem details ([errors.md](errors.md)): \`{type, title, status, detail, code}\` as \`application/problem+json\`.
- Sizes are bytes, times ISO 8601. CHAP secrets go in and never come out, but with a connection:
  the one that is made for it, and that of discovery.

| request | takes | what |
|---|---|---|`

const TAIL = `
## The sparse image stream

Import and export move images as \`application/vnd.holdfast.sparse\`: only what holds data travels, in frames of at most
1 MiB, as fast as the slower end. Integers are big-endian.

| part | bytes | what |
|---|---|---|
| header | 8 | \`HFSPARSE\` |
| | 4 | version, 1 |
| | 4 | zero |
| | 8 | size of the image |
| frame | 4 | kind: 1 data, 2 end, 3 failure |
| | 4 | length of the payload |
| | 8 | offset in the image; of an end frame the size again |
| | 4 | CRC32C of the payload |
| | length | payload; of a failure frame the reason in UTF-8 |

Data frames ascend, do not overlap, and are multiples of the volume's block size; what lies between them is zeroes. After an
import the volume holds the image and zeroes behind it, durably. An export is no snapshot: stop the writers first.
While an import goes on it is answered with 102 (Processing) every ten seconds, also when nothing travels.
`
