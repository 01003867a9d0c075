/** The MNIST CNN: 3x3 convolutions to 32 and 64 channels, max-pool, dropout, 9216-128-10, Adam. Workload W2. */
import { nn, optim, defineTraining, type Tensor } from "kilnjs";
import { DataLoader, mnist, transforms } from "kilnjs/data";

class Net extends nn.Module {
  conv1 = new nn.Conv2d(1, 32, 3);
  conv2 = new nn.Conv2d(32, 64, 3);
  pool = new nn.MaxPool2d(2);
  dropout = new nn.Dropout(0.25);
  fc1 = new nn.Linear(9216, 128);
  fc2 = new nn.Linear(128, 10);

  /** `x`: `[batch, 1, 28, 28]`; gives logits `[batch, 10]`. */
  forward(x: Tensor): Tensor {
    const features = this.conv2.forward(this.conv1.forward(x).relu()).relu();
    const pooled = this.dropout.forward(this.pool.forward(features));
    return this.fc2.forward(this.fc1.forward(pooled.flatten(1)).relu());
  }
}

export default defineTraining({
  seed: 0,
  epochs: 1,
  data: () => ({
    train: new DataLoader(mnist({ split: "train", transform: transforms.toTensor() }), {
      batchSize: 64,
      shuffle: true,
    }),
  }),
  setup() {
    const model = new Net();
    const criterion = new nn.CrossEntropyLoss();
    const optimizer = new optim.Adam(model.parameters(), { lr: 1e-3 });
    return { model, criterion, optimizer };
  },
  trainStep({ model, criterion, optimizer }, [images, labels]) {
    const loss = criterion.forward(model.forward(images), labels);
    optimizer.zeroGrad();
    loss.backward();
    optimizer.step();
    return { loss };
  },
});
