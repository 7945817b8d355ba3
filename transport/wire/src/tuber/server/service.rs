//! Traits of the objects that a server describes and calls.

use super::args::Args;
use super::fault::Fault;
use super::interface::{DescribeForm, Interface, Method, PropertyValue};
use crate::tuber::cursor::Cursor;
use crate::tuber::emit::{Encode, Slot};
use crate::tuber::keys;

/// A set of served objects. A server with one object implements [`Service`] instead.
///
/// An object is identified by its name. A path to an object inside another one is passed as one
/// text, such as `Board.mods[0]` or `Board.named["a"]`.
pub trait Dispatch {
    /// Names of the objects, in the order in which they are listed.
    fn objects(&self) -> Vec<String>;

    /// Writes the description of an object: with all its members if `resolve` is true, else only
    /// their names.
    fn describe(&mut self, object: &str, resolve: bool, slot: Slot<'_>) -> Result<(), Fault>;

    /// Writes the value of a property, or the description of a method or of an inner object.
    fn property(&mut self, object: &str, property: &str, slot: Slot<'_>) -> Result<(), Fault>;

    /// Calls a method.
    fn call(&mut self, call: &Invocation<'_>, reply: Reply<'_>) -> Result<(), Fault>;
}

/// A served object whose methods and properties are declared as data.
///
/// Every `Service` implements [`Dispatch`]. That implementation checks names, assigns arguments to
/// parameters and writes descriptions, so that the methods of a `Service` do not have to.
pub trait Service {
    /// Methods and properties that the object offers.
    fn interface(&self) -> &'static Interface;

    /// Form of the description of the object.
    fn describe_form(&self) -> DescribeForm {
        DescribeForm::Full
    }

    /// Calls a method. If this function returns a fault, the server discards what was written to
    /// `reply`, except for the warnings.
    fn call(
        &mut self,
        method: &'static Method,
        args: &Args<'_>,
        reply: Reply<'_>,
    ) -> Result<(), Fault>;

    /// Writes the value of a property that is declared as [`PropertyValue::Asked`].
    fn property(&mut self, name: &str, _slot: Slot<'_>) -> Result<(), Fault> {
        Err(Fault::no_attribute(self.interface().name, name))
    }
}

/// A call of a method whose arguments have not been assigned to its parameters yet.
#[derive(Debug, Clone, Copy)]
pub struct Invocation<'a> {
    /// The object.
    pub object: &'a str,
    /// The method.
    pub method: &'a str,
    /// The list of positional arguments, if there is one.
    pub args: Option<Cursor<'a>>,
    /// The map of named arguments, if there is one.
    pub kwargs: Option<Cursor<'a>>,
}

/// Destination of the result of a call: exactly one value, or null if none is written.
#[derive(Debug)]
pub struct Reply<'w> {
    slot: Slot<'w>,
    warnings: &'w mut Vec<String>,
}

impl<'w> Reply<'w> {
    pub(super) fn new(slot: Slot<'w>, warnings: &'w mut Vec<String>) -> Self {
        Reply { slot, warnings }
    }

    /// Adds a warning, which is sent with the result or the fault.
    pub fn warn(&mut self, text: impl Into<String>) {
        self.warnings.push(text.into());
    }

    /// Splits the reply into the slot of the result and the list of the warnings, for a method
    /// that finds a reason for a warning while it writes its result.
    pub fn split(self) -> (Slot<'w>, &'w mut Vec<String>) {
        (self.slot, self.warnings)
    }

    /// Answers the call with a value.
    pub fn send(self, value: &(impl Encode + ?Sized)) {
        self.slot.write(value);
    }

    /// Slot of the result, to write it piece by piece.
    pub fn slot(self) -> Slot<'w> {
        self.slot
    }
}

impl<T: Service> Dispatch for T {
    fn objects(&self) -> Vec<String> {
        vec![self.interface().name.to_owned()]
    }

    fn describe(&mut self, object: &str, resolve: bool, slot: Slot<'_>) -> Result<(), Fault> {
        let interface = named(self.interface(), object)?;
        if !resolve || self.describe_form() == DescribeForm::Names {
            interface.describe_names(slot);
            return Ok(());
        }
        let mut map = slot.map();
        interface.describe_methods(&mut map);
        let mut properties = map.key(keys::PROPERTIES).map();
        for property in interface.properties {
            let slot = properties.key(property.name);
            match &property.value {
                PropertyValue::Asked => Service::property(self, property.name, slot)?,
                value => slot.write(value),
            }
        }
        drop(properties);
        map.key(keys::OBJECTS).map();
        Ok(())
    }

    fn property(&mut self, object: &str, property: &str, slot: Slot<'_>) -> Result<(), Fault> {
        let interface = named(self.interface(), object)?;
        if let Some(method) = interface.method(property) {
            method.describe(slot, self.describe_form());
            return Ok(());
        }
        match interface.property(property).map(|property| &property.value) {
            Some(PropertyValue::Asked) => Service::property(self, property, slot),
            Some(value) => {
                slot.write(value);
                Ok(())
            }
            None => Err(Fault::no_attribute(object, property)),
        }
    }

    fn call(&mut self, call: &Invocation<'_>, reply: Reply<'_>) -> Result<(), Fault> {
        let interface = named(self.interface(), call.object)?;
        let Some(method) = interface.method(call.method) else {
            return Err(Fault::no_attribute(call.object, call.method));
        };
        let args = Args::bind(method, call)?;
        Service::call(self, method, &args, reply)
    }
}

/// Returns the interface if it has this name, or a fault.
fn named(interface: &'static Interface, object: &str) -> Result<&'static Interface, Fault> {
    if interface.name == object {
        Ok(interface)
    } else {
        Err(Fault::no_object(object))
    }
}
