/** Of an answer: a sentence for whoever reads it, about what is missing. */
export const NOTICE_HEADER = 'holdfast-notice'
