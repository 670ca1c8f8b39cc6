use super::*;
use crate::config::Dtype;
use crate::device::tests::{apart, batch, devices, largest, policy, weights};

/// A policy that was told to compute on a device has its numbers, follows its masters, and hands over every part once.
#[test]
fn a_policy_computes_on_a_device() {
    for device in devices() {
        let mut policy = policy("qwen3", Dtype::F32);
        let (packed, targets) = batch(policy.vocabulary());
        let host = policy.logprobs(&packed, &targets, 1.0).logprobs;
        let mut expected = Buffer::zeros(policy.layout().len());
        policy.backward(&packed, &targets, 1.0, false, &mut expected, &mut |range, _| weights(range));
        policy.compute_on(device);
        let on_device = policy.logprobs(&packed, &targets, 1.0).logprobs;
        assert!(host != on_device && apart(&host, &on_device) <= 1e-5 * (1.0 + largest(&host)));
        let mut found = Buffer::zeros(policy.layout().len());
        policy.backward(&packed, &targets, 1.0, true, &mut found, &mut |range, _| weights(range));
        assert!(apart(&found, &expected) <= 1e-5 * largest(&expected));
        let copy = policy.deep_copy();
        policy.parameters_mut().iter_mut().for_each(|w| *w *= 1.5);
        policy.refresh();
        assert!(policy.logprobs(&packed, &targets, 1.0).logprobs != on_device, "refreshed");
        assert!(copy.on_device().is_some(), "a copy computes there, too");
        assert_eq!(copy.logprobs(&packed, &targets, 1.0).logprobs, on_device);
    }
}

/// Masters that moved on the device, and what products read of them, come back to the policy.
#[test]
fn weights_travel_both_ways() {
    for dtype in [Dtype::F32, Dtype::Bf16] {
        let mut policy = policy("qwen3", dtype);
        let (packed, targets) = batch(policy.vocabulary());
        let mut on_device = DevicePolicy::new(&policy, Device::Cpu);
        let before = on_device.logprobs(&packed, &targets, 1.0).logprobs;
        let _ = on_device.parameters().shallow_clone().g_mul_scalar_(2.0);
        on_device.refresh();
        assert!(on_device.logprobs(&packed, &targets, 1.0).logprobs != before, "products read the new numbers");
        let original = policy.parameters().to_vec();
        on_device.give(policy.parameters_mut());
        assert!(policy.parameters().iter().zip(&original).all(|(a, b)| *a == 2.0 * b));
        policy.parameters_mut().copy_from_slice(&original);
        on_device.take(&policy);
        assert_eq!(on_device.logprobs(&packed, &targets, 1.0).logprobs, before);
    }
}

/// Masters that an optimizer moves on the device: what is computed follows at once, the host's when they are fetched.
#[test]
fn masters_that_moved_there_are_fetched() {
    for dtype in [Dtype::F32, Dtype::Bf16, Dtype::Fp8] {
        let mut policy = policy("deepseek_v3", dtype);
        let (packed, targets) = batch(policy.vocabulary());
        policy.compute_on(Device::Cpu);
        let original = policy.parameters().to_vec();
        let _ = policy.on_device().unwrap().parameters().shallow_clone().g_mul_scalar_(2.0);
        policy.refresh_on_device();
        let moved = policy.logprobs(&packed, &targets, 1.0).logprobs;
        assert_eq!(policy.parameters(), original);
        policy.fetch_masters();
        assert!(policy.parameters().iter().zip(&original).all(|(a, b)| *a == 2.0 * b));
        policy.refresh();
        assert_eq!(policy.logprobs(&packed, &targets, 1.0).logprobs, moved, "{dtype:?}");
        let (_, bias) = policy.layout().corrections()[0].clone();
        policy.parameters_mut()[bias.clone()].fill(-7.0);
        policy.put_on_device(bias.clone());
        policy.fetch_masters();
        assert!(policy.parameters()[bias].iter().all(|bias| *bias == -7.0));
    }
}
