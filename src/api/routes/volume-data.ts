import { Readable } from 'node:stream'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { HoldfastError } from '../../errors/holdfast-error.ts'
import type { ApiBackend } from '../backend.ts'
import { forceQuery, imported, nameParameter } from '../schemas.ts'
import { SPARSE_STREAM_TYPE, SparseReader } from '../sparse-stream.ts'
import { exportImage } from '../volume-export.ts'
import { type Imported, importImage } from '../volume-import.ts'
import { answers } from './answers.ts'

const tags = ['volume data']

/** An import says so (102) as often as this: nothing travels while there are zeroes to read, or much to trim. */
const STILL_AT_WORK_MS = 10_000

export const volumeDataRoutes: FastifyPluginAsyncZod<{ backend: ApiBackend }> = async (app, { backend }) => {
  /** Volumes that an import is filling. */
  const importing = new Set<string>()

  app.addContentTypeParser(SPARSE_STREAM_TYPE, (_request, payload, done) => done(null, payload))

  app.post(
    '/volumes/:name/import',
    {
      schema: {
        tags,
        summary: 'Replace the contents of a volume with a sparse image stream',
        description: `The body is of type \`${SPARSE_STREAM_TYPE}\`; docs/reference/api.md describes it. What the stream leaves out reads as zeroes afterwards, and everything is durable when the answer comes.`,
        consumes: [SPARSE_STREAM_TYPE],
        params: nameParameter,
        querystring: forceQuery,
        response: answers(200, imported),
      },
    },
    async (request, reply) => {
      const { name } = request.params
      const shown = await backend.control.showVolume(name)
      if (!request.query.force) await backend.control.refuseVolumeInUse(name)
      if (shown.readOnly) {
        throw new HoldfastError('ERR_BLOCK_WRITE_PROTECTED', `volume '${name}' is read-only`)
      }
      if (importing.has(name))
        throw new HoldfastError('ERR_VOLUME_BUSY', `another import is filling volume '${name}'`)
      importing.add(name)
      const timer = setInterval(() => reply.raw.writeProcessing(), STILL_AT_WORK_MS)
      try {
        return await fill(backend, name, request.body as Readable)
      } finally {
        clearInterval(timer)
        importing.delete(name)
      }
    },
  )
  app.get(
    '/volumes/:name/export',
    {
      // A HEAD would read the whole volume for nobody.
      exposeHeadRoute: false,
      schema: {
        tags,
        summary: 'A volume as a sparse image stream',
        description: `Answers ${SPARSE_STREAM_TYPE}: only what holds data travels. Writers should be stopped: it is no snapshot.`,
        params: nameParameter,
      },
    },
    async (request, reply) => {
      const { name } = await backend.control.showVolume(request.params.name)
      const handle = backend.openVolume(name)
      const stream = Readable.from(exportImage(handle), { objectMode: false, highWaterMark: 1 })
      stream.once('close', () => void handle.close())
      return reply.type(SPARSE_STREAM_TYPE).send(stream)
    },
  )
}

async function fill(backend: ApiBackend, name: string, image: Readable): Promise<Imported> {
  const handle = backend.openVolume(name)
  try {
    return await importImage(handle, new SparseReader(image))
  } finally {
    await handle.close()
  }
}
