import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { ModelProtoSchema } from 'onnx-buf';
import { locationOf, type StackedPlaces } from './externalData';

/**
 * A graph whose stacked tensors are read from the data file of an export: other weights stay where they are in the checkpoint.
 * @param dataFile absolute path of that file, which does not need to exist yet
 */
export function placeStacked(graph: Uint8Array, places: StackedPlaces, dataFile: string): Uint8Array {
  const model = fromBinary(ModelProtoSchema, graph);
  for (const tensor of model.graph!.initializer) {
    const location = tensor.externalData.find(({ key }) => key === 'location');
    const offset = location === undefined ? undefined : places.get(location.value);
    if (location !== undefined && offset !== undefined) {
      location.value = locationOf(dataFile);
      tensor.externalData.find(({ key }) => key === 'offset')!.value = String(offset);
    }
  }
  return toBinary(ModelProtoSchema, model);
}
