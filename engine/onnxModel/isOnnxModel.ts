import { readdir } from 'node:fs/promises';

/** File of the generation settings, which marks a folder as a model of ONNX Runtime GenAI. */
export const configName = 'genai_config.json';

/** Whether a folder holds an ONNX model with generation settings, and no weights in another form. */
export async function isOnnxModel(folder: string): Promise<boolean> {
  const names = await readdir(folder).catch(() => [] as string[]);
  return names.includes(configName) && !names.some((name) => /\.safetensors(\.index\.json)?$/.test(name));
}
