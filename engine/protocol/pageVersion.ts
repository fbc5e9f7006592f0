/**
 * Version of the messages between the pages of this extension and the extension: a page of another version is told so. In a file of
 * its own, because pages carry every module they import.
 */
export const pageVersion = 1;
