use std::ops::{Add, Mul, Sub};

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Vec2 {
    pub x: f32,
    pub y: f32,
}

impl Vec2 {
    pub const ZERO: Self = Self::new(0.0, 0.0);

    pub const fn new(x: f32, y: f32) -> Self {
        Self { x, y }
    }

    pub fn from_angle(radians: f32) -> Self {
        Self::new(radians.cos(), radians.sin())
    }

    pub fn angle(self) -> f32 {
        self.y.atan2(self.x)
    }

    pub fn dot(self, other: Self) -> f32 {
        self.x * other.x + self.y * other.y
    }

    pub fn length(self) -> f32 {
        self.dot(self).sqrt()
    }

    pub fn distance(self, other: Self) -> f32 {
        (other - self).length()
    }

    /// Of length 1 in the same direction, or `fallback` where there is no direction.
    pub fn unit_or(self, fallback: Self) -> Self {
        let length = self.length();
        if length < 1e-3 { fallback } else { self * (1.0 / length) }
    }

    pub fn shortened_to(self, length_max: f32) -> Self {
        let length = self.length();
        if length > length_max { self * (length_max / length) } else { self }
    }

    /// Zero when a part is no number or without bound.
    pub fn finite_or_zero(self) -> Self {
        // Beyond this the squares in `length` overflow.
        if self.x.abs() < 1e9 && self.y.abs() < 1e9 { self } else { Self::ZERO }
    }
}

impl Add for Vec2 {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self::new(self.x + other.x, self.y + other.y)
    }
}

impl Sub for Vec2 {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self::new(self.x - other.x, self.y - other.y)
    }
}

impl Mul<f32> for Vec2 {
    type Output = Self;
    fn mul(self, factor: f32) -> Self {
        Self::new(self.x * factor, self.y * factor)
    }
}

/// A box along the axes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rect {
    pub x: f32,
    pub y: f32,
    pub width: f32,
    pub height: f32,
}

impl Rect {
    pub const fn new(x: f32, y: f32, width: f32, height: f32) -> Self {
        Self { x, y, width, height }
    }

    /// The point of the box nearest to `point`.
    pub fn nearest(&self, point: Vec2) -> Vec2 {
        Vec2::new(point.x.clamp(self.x, self.x + self.width), point.y.clamp(self.y, self.y + self.height))
    }

    /// Moves a circle that overlaps the box out of it, the short way.
    pub fn push_out(&self, centre: &mut Vec2, radius: f32) {
        let nearest = self.nearest(*centre);
        let away = *centre - nearest;
        let distance = away.length();
        if distance >= radius {
            return;
        }
        if distance > 1e-3 {
            *centre = nearest + away * (radius / distance);
            return;
        }
        let left = centre.x - self.x;
        let right = self.x + self.width - centre.x;
        let up = centre.y - self.y;
        let down = self.y + self.height - centre.y;
        let shortest = left.min(right).min(up).min(down);
        if left <= shortest {
            centre.x = self.x - radius;
        } else if right <= shortest {
            centre.x = self.x + self.width + radius;
        } else if up <= shortest {
            centre.y = self.y - radius;
        } else {
            centre.y = self.y + self.height + radius;
        }
    }

    /// Which part of the way from `from` to `to` is gone when the box is met, if it is.
    pub fn crossed_by(&self, from: Vec2, to: Vec2) -> Option<f32> {
        let way = to - from;
        let (mut enters, mut leaves) = (0.0f32, 1.0f32);
        for (start, along, low, high) in
            [(from.x, way.x, self.x, self.x + self.width), (from.y, way.y, self.y, self.y + self.height)]
        {
            if along.abs() < 1e-6 {
                if start < low || start > high {
                    return None;
                }
                continue;
            }
            let (one, two) = ((low - start) / along, (high - start) / along);
            enters = enters.max(one.min(two));
            leaves = leaves.min(one.max(two));
        }
        (enters <= leaves).then_some(enters)
    }
}

/// Which part of the way is gone when the circle is met, if it is.
pub(super) fn circle_hit(from: Vec2, to: Vec2, centre: Vec2, radius: f32) -> Option<f32> {
    let way = to - from;
    let length_squared = way.dot(way);
    if length_squared < 1e-9 {
        return (from.distance(centre) <= radius).then_some(0.0);
    }
    let nearest = ((centre - from).dot(way) / length_squared).clamp(0.0, 1.0);
    ((from + way * nearest).distance(centre) <= radius).then_some(nearest)
}
